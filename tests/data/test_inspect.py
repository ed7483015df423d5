"""What the inspection says is what the files hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made_events import make_event, random_event
from pilarnet_files import raw_event, write_pilarnet
from test_readers_voxels import write

from lartpc_sparse.data.event_page import event_figure
from lartpc_sparse.data.inspect import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three events: three voxels (one twice), none, forty."""
    first = make_event([[1, 2, 3], [1, 2, 3], [5, 0, 0]], [1.0, -2.0, 0.0], semantic=[0, 0, -1])
    return write(tmp_path / "events.h5", [first, make_event([]), random_event(1, 40, entry=2)])


def figures(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_figures_are_those_of_the_events(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = figures(capsys, file)
    other = random_event(1, 40)
    assert (found["kind"], found["events"], found["looked_at"], found["voxels"]) == ("voxels", 3, 3, 43)
    assert found["empty_events"] == 1
    assert found["image_size"] == [16, 16, 16]
    assert (found["voxels_per_event"]["min"], found["voxels_per_event"]["median"]) == (0, 3)
    assert found["occupied"] == [
        np.minimum(other.coords.min(axis=0), [1, 0, 0]).tolist(),
        np.maximum(other.coords.max(axis=0), [5, 2, 3]).tolist(),
    ]
    assert (found["energy"]["min"], found["energy"]["max"]) == (-2.0, pytest.approx(float(other.energy.max())))
    assert found["event_energy"]["max"] == pytest.approx(float(other.energy.sum()), rel=1e-5)
    semantic = np.concatenate([other.labels["semantic"], [0, 0, -1]])
    names = {"track": 0, "shower": 1, "delta": 2, "not labelled": -1}
    assert found["classes"] == {name: pytest.approx((semantic == value).mean()) for name, value in names.items()}
    assert found["labels"]["instance"] == [0, 39]
    assert found["particle_columns"] == {"pdg": "int64"}
    assert found["particles_per_event"]["median"] == 2
    assert found["oddities"]["events with a voxel more than once"] == 1
    assert found["oddities"]["voxels that repeat another"] == 1
    assert found["oddities"]["voxels with negative energy"] == 1
    assert found["oddities"]["voxels with energy 0"] == 1
    assert found["bad_events"] == {"number": 0, "first": []}


def test_events_that_cannot_be_used_are_counted(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(file, "a") as opened:
        opened["energy"][7] = np.nan
    (found,) = figures(capsys, file)
    assert found["bad_events"]["number"] == 1
    assert "energy of voxel 4 is nan" in found["bad_events"]["first"][0]
    assert main([str(file)]) == 0
    assert "1 events cannot be used" in capsys.readouterr().out


def test_large_files_are_sampled_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "many.h5", [random_event(seed, 5) for seed in range(30)])
    (found,) = figures(capsys, path, "--max-events", 7)
    assert (found["events"], found["looked_at"], found["voxels"], found["read_voxels"]) == (30, 7, 150, 35)
    assert main([str(path), "--max-events", "7"]) == 0
    assert "30 (7 of them read, a random choice)" in capsys.readouterr().out


def test_files_of_several_kinds_come_one_after_the_other(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_pilarnet(tmp_path / "p.h5", [raw_event(1)], "v3")
    found = figures(capsys, file, other)
    assert [one["kind"] for one in found] == ["voxels", "pilarnet"]
    assert found[1]["version"] == "v3"
    assert main([str(file), str(other)]) == 0
    text = capsys.readouterr().out
    assert "events.h5" in "".join(text.split())
    assert "pilarnet v3" in text


def test_files_that_do_not_fit_together_come_one_by_one(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """One of another image size, one of no known format: the others are shown, and the errors come at the end."""
    other = write(tmp_path / "other.h5", [random_event(1, 20, (8, 8, 8))])
    (tmp_path / "notes.txt.h5").write_text("no events here")
    capsys.readouterr()
    assert main([str(file), str(other), str(tmp_path / "notes.txt.h5"), "--json"]) == 2
    shown = capsys.readouterr()
    assert [entry["image_size"] for entry in json.loads(shown.out)] == [[16, 16, 16], [8, 8, 8]]
    assert "notes.txt.h5 is neither an HDF5 nor a ROOT file" in shown.err
    assert "so the files are shown one by one" in caplog.text


def test_files_of_empty_events_are_no_trouble(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "empty.h5", [make_event([]), make_event([])])
    (found,) = figures(capsys, path)
    assert (found["occupied"], found["energy"], found["empty_events"]) == (None, {}, 2)
    assert main([str(path)]) == 0


@pytest.mark.parametrize("image_size", [(16, 16, 16), (16, 16)])
def test_displays_draw_every_voxel(image_size: tuple[int, ...]) -> None:
    event = random_event(3, 50, image_size=image_size)
    figure = event_figure(event, 100)
    views = [button["label"] for button in figure["layout"]["updatemenus"][0]["buttons"]]
    assert views == ["class", "energy", "instance"]
    for button in figure["layout"]["updatemenus"][0]["buttons"]:
        shown = [t for t, on in zip(figure["data"], button["args"][0]["visible"], strict=True) if on]
        drawn = sorted(zip(*([v for t in shown for v in t[axis]] for axis in "xyz"[: event.dim]), strict=True))
        assert drawn == sorted(map(tuple, event.coords.tolist()))
    assert sum(len(trace["x"]) for trace in event_figure(event, 20)["data"] if trace["name"] == "energy") == 20


def test_a_page_of_displays(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "page.html"
    assert main([str(file), "--display", "2,1", "--html", str(output)]) == 0
    text = output.read_text()
    assert text.index("events.h5 entry 2") < text.index("events.h5 entry 1")
    assert "plotly" in text
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--display", "3"], "there are the events 0 to 2"),
        (["--display", "a"], "write event numbers with commas"),
        (["--max-events", "0"], "must be at least 1"),
        (["--from", "pilarnet"], "is not PILArNet-M"),
    ],
)
def test_bad_words_are_explained(
    file: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main([str(file), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kind", "events", "voxels"),
    [
        ("larcv2_image2d_electron.root", "larcv_root", 10, 4714),
        ("larcv2_sparse3d_cluster3d_particle.root", "larcv_root", 5, 6400),
        ("larcv3_sparse3d.h5", "larcv_hdf5", 4, 163),
        ("larcv3_cluster3d.h5", "larcv_hdf5", 4, 800),
    ],
)
def test_samples_of_larcv_need_no_option(
    shared_data: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str, events: int, voxels: int
) -> None:
    (found,) = figures(capsys, shared_data / "formats" / name)
    assert (found["kind"], found["events"], found["voxels"]) == (kind, events, voxels)

"""The reader of camera frames: every format, pedestals, truth, and frames that cannot be used."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from damage import Damage, damages, heap_headers, readable
from frame_events import SIZE, WRITERS, frames, write_hdf5, write_npy, write_truth
from hypothesis import given, settings
from reader_contract import ReaderContract

from lartpc_sparse.data.camera import open_frames
from lartpc_sparse.data.camera.frame_files import run_and_event
from lartpc_sparse.data.camera.frames_reader import FramesConfig, PedestalRunConfig
from lartpc_sparse.data.camera.pedestal import Pedestal, build_pedestal, load_pedestal, main, save_pedestal
from lartpc_sparse.data.camera.true_pixels import true_pixels
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.schema import BadEventError, UserError

REBIN_2 = ({"kind": "bad_pixels"}, {"kind": "pedestal"}, {"kind": "rebin", "factor": 2})


def flat_pedestal(path: Path) -> str:
    save_pedestal(
        path, Pedestal(np.full(SIZE, 100, np.float32), np.full(SIZE, 2, np.float32), np.zeros(SIZE, np.bool_), 10)
    )
    return str(path)


class TestFramesReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> FramesConfig:
        if not (folder / "frames.h5").exists():
            write_hdf5(folder / "frames.h5", frames(8))
            write_truth(folder / "truth.h5", 8)
            flat_pedestal(folder / "pedestal.h5")
        return FramesConfig.model_validate(
            {
                "files": [str(folder / "frames.h5")],
                "truth": [str(folder / "truth.h5")],
                "pedestal": str(folder / "pedestal.h5"),
                "preprocess": REBIN_2,
                **options,
            }
        )


class TestSuppressedFrames(TestFramesReader):
    def config(self, folder: Path, **options: Any) -> FramesConfig:
        steps = (*REBIN_2, {"kind": "threshold", "min_counts": 1.0})
        return super().config(folder, preprocess=steps, **options)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_frames(name: str, tmp_path: Path) -> None:
    counts = frames(4)
    WRITERS[name](tmp_path / name, counts)
    file = open_frames(str(tmp_path / name))
    assert len(file.names) == 4
    assert file.shape == SIZE
    for entry in range(4):
        np.testing.assert_array_equal(file.read(entry), counts[entry])
    file.close()


def test_frames_are_in_the_order_of_run_and_event() -> None:
    assert run_and_event("pic_run12_ev9;1") == (12, 9)
    assert run_and_event("other") == (-1, -1)


def test_values_noise_and_truth_of_a_rebinned_frame(tmp_path: Path) -> None:
    reader = TestFramesReader().config(tmp_path).build()
    event = reader.read(3)
    raw = frames(8)[3].astype(np.float64) - 100
    expected = raw.reshape(8, 2, 12, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(event.energy.reshape(8, 12), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(event.labels["noise"], 1.0)
    light = event.labels["light"].reshape(8, 12)
    assert light.sum() * 4 == pytest.approx(16 * 50 + 0.5)
    instance = event.labels["instance"].reshape(8, 12)
    assert set(instance[light >= 0.2]) == {0}
    assert (instance[light < 0.2] == -1).all()
    assert event.labels["semantic"].sum() == (light >= 0.2).sum()
    assert event.particles["light"].tolist() == [800.0, 0.5]


def test_true_pixels_belong_to_the_brightest_recoil(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.h5", 1)
    truth = VoxelsConfig(files=(str(tmp_path / "truth.h5"),)).build().read(0)
    light, owner = true_pixels(truth, (4, 6), 4)
    assert owner[1, 1] == 0
    assert owner[3, 5] == 1
    assert light[3, 5] == pytest.approx(0.5 / 16)
    assert (owner == -1).sum() == 4 * 6 - 2


def test_a_pedestal_run_is_used_as_it_is(tmp_path: Path) -> None:
    quiet = np.random.default_rng(1).normal(100, 2, size=(40, *SIZE)).round().astype(np.uint16)
    write_npy(tmp_path / "quiet.npy", quiet)
    write_hdf5(tmp_path / "frames.h5", frames(2))
    reader = FramesConfig(
        files=(str(tmp_path / "frames.h5"),),
        pedestal=PedestalRunConfig(files=(str(tmp_path / "quiet.npy"),), select=(0, 30)),
        preprocess=(),
    ).build()
    np.testing.assert_allclose(reader.pedestal.mean, quiet[:30].mean(axis=0), rtol=1e-5)
    assert str(tmp_path / "quiet.npy") in reader.files
    assert set(reader.read(0).labels) == {"noise"}


def test_sums_of_one_frame_at_a_time_are_mean_and_standard_deviation(tmp_path: Path) -> None:
    counts = frames(20, seed=4)
    counts[:, 0, 0] = 0  # dead
    counts[::3, 2, 2] = 900  # flickers
    pedestal = build_pedestal(iter(counts))
    np.testing.assert_allclose(pedestal.mean, counts.mean(axis=0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(pedestal.sigma, counts.std(axis=0, ddof=1, dtype=np.float64), rtol=2e-4, atol=1e-3)
    assert pedestal.bad[0, 0]
    assert pedestal.bad[2, 2]
    save_pedestal(tmp_path / "p.h5", pedestal)
    again = load_pedestal(tmp_path / "p.h5")
    assert again.identity == pedestal.identity
    assert again.frames == 20
    with pytest.raises(UserError, match="at least 2 frames"):
        build_pedestal(iter(counts[:1]))
    with pytest.raises(UserError, match="frames before"):
        build_pedestal([counts[0], counts[0][:3]])


def test_the_command_makes_a_pedestal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npy(tmp_path / "a.npy", frames(6))
    output = tmp_path / "maps" / "p.h5"
    assert main([str(tmp_path / "*.npy"), "--output", str(output), "--select", "1", "6"]) == 0
    assert "5 frames of 16 x 24 pixels" in capsys.readouterr().out
    assert load_pedestal(output).sources == ("a.npy",)
    assert main([str(tmp_path / "none*.npy"), "--output", str(output)]) == 2
    assert "no file matches" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    big = np.zeros((60, 256, 256), dtype=np.uint16)
    write_npy(tmp_path / "big.npy", big)
    save_pedestal(
        tmp_path / "p.h5",
        Pedestal(np.zeros((256, 256), np.float32), np.ones((256, 256), np.float32), np.zeros((256, 256), np.bool_), 2),
    )
    config = FramesConfig(files=(str(tmp_path / "big.npy"),), pedestal=str(tmp_path / "p.h5"))
    reader = config.build()
    reader.read(0)
    tracemalloc.start()
    for index in range(60):
        reader.read(index)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 256 * 256 * 4  # a handful of copies of one frame; 60 frames would be 60


def test_memory_does_not_grow_with_histograms_that_hold_themselves(tmp_path: Path) -> None:
    edges = np.arange(257.0)
    with uproot.recreate(tmp_path / "big.root") as file:
        for entry in range(3):
            file[f"pic_run1_ev{entry}"] = (np.zeros((256, 256), np.float32), edges, edges)
    frames = open_frames(str(tmp_path / "big.root"))
    frames.read(0)
    gc.collect()
    gc.disable()  # Python's own collections come when they come
    tracemalloc.start()
    try:
        for entry in range(12):
            frames.read(entry % 3)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
        frames.close()
    assert kept < 3 * 256 * 256 * 4  # 12 frames would be at least 12


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"files": ["frames.xyz"]}, UserError, "frames are read from"),
        ({"preprocess": [{"kind": "rebin", "factor": 5}]}, UserError, "cannot be rebinned by 5"),
        ({"select": [0, 4]}, UserError, None),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, change: dict[str, Any], error: type, match: str | None) -> None:
    TestFramesReader().config(tmp_path)
    (tmp_path / "frames.xyz").write_bytes(b"")
    change = {name: [str(tmp_path / v) for v in value] if name == "files" else value for name, value in change.items()}
    if match is None:  # select counts for the truth too, so that nothing shifts
        assert len(TestFramesReader().config(tmp_path, **change).build().truth or ()) == 4
        return
    with pytest.raises(error, match=match):
        TestFramesReader().config(tmp_path, **change).build()


def test_a_truth_of_another_number_of_frames_is_refused(tmp_path: Path) -> None:
    TestFramesReader().config(tmp_path)
    write_truth(tmp_path / "truth.h5", 7)
    with pytest.raises(UserError, match="truth has 7 events"):
        TestFramesReader().config(tmp_path).build()


def test_a_frame_that_cannot_be_used_is_a_bad_event(tmp_path: Path) -> None:
    counts = frames(3).astype(np.float32)
    counts[1, 2, 3] = np.nan
    write_npy(tmp_path / "f.npy", counts)
    pedestal = flat_pedestal(tmp_path / "p.h5")
    reader = FramesConfig(files=(str(tmp_path / "f.npy"),), pedestal=pedestal, preprocess=()).build()
    assert len(reader.read(0)) == SIZE[0] * SIZE[1]
    with pytest.raises(BadEventError, match=r"f.npy entry 1.*not finite, first at pixel \[2, 3\]"):
        reader.read(1)


@settings(max_examples=25)
@given(damage=damages())
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_copies_give_an_error_or_frames(
    name: str, damage: Damage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Values of formats without checksums can change unnoticed; nothing else may pass."""
    folder = tmp_path_factory.getbasetemp()
    good = folder / name
    if not good.exists():
        WRITERS[name](good, frames(3))
        flat_pedestal(folder / "pedestal.h5")
    bad = folder / f"bad_{name}"
    content = good.read_bytes()
    bad.write_bytes(damage.of(content, heap_headers(content)))
    config = {"files": [str(bad)], "pedestal": str(folder / "pedestal.h5"), "preprocess": REBIN_2}
    for event in readable(FramesConfig.model_validate(config)):
        assert len(event) == SIZE[0] * SIZE[1] // 4
        assert np.isfinite(event.energy).all()


def test_damaged_files_are_named(tmp_path: Path) -> None:
    for name in ("broken.h5", "broken.root", "broken.tif", "broken.npy"):
        (tmp_path / name).write_bytes(b"not this format at all")
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            open_frames(str(tmp_path / name))
    write_hdf5(tmp_path / "frames.h5", frames(1))
    with pytest.raises(UserError, match="no pedestal file"):
        load_pedestal(tmp_path / "frames.h5")

"""The step simulate: parts, processes, interruptions, bad events; with a source in pure Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.classes import FIVE
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.run import main
from lartpc_sparse.yaml_config import dump_config, load_config

KIND = "made_source:MadeConfig"


def chain(folder: Path, *, events: int = 10, size: int = 4, processes: int = 1, seed: int = 1, **source: Any) -> Path:
    """A chain file that only simulates."""
    path = folder / f"chain-{time.monotonic_ns()}.yaml"
    values = {
        "run": {"name": "made", "output_dir": str(folder / "run"), "seed": seed},
        "simulate": {"kind": KIND, "events": events, "events_per_file": size, "processes": processes, **source},
    }
    path.write_text(yaml.safe_dump(values))
    return path


def contents(folder: Path, stream: str = "left") -> list[tuple[Any, ...]]:
    reader = VoxelsConfig(files=(str(folder / "run" / "events" / f"{stream}_*.h5"),)).build()
    events = [reader.read(i) for i in range(len(reader))]
    return [(e.coords.tolist(), e.energy.tolist(), e.labels["semantic"].tolist()) for e in events]


def test_events_do_not_depend_on_the_number_of_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for processes in (1, 3):
        folder = tmp_path / str(processes)
        folder.mkdir()
        assert main([str(chain(folder, processes=processes))]) == 0
        assert "10/10 events" in capsys.readouterr().err
        names = sorted(path.name for path in (folder / "run" / "events").iterdir())
        files = [f"{stream}_{n:05d}.h5" for stream in ("left", "right") for n in range(3)]
        assert names == sorted([*files, "config.yaml", "simulation.json"])
        made.append((contents(folder), contents(folder, "right")))
    assert made[0] == made[1]
    assert len(made[0][0]) == 10
    assert made[0][0] != made[0][1]

    summary = json.loads((tmp_path / "1" / "run" / "events" / "simulation.json").read_text())
    assert summary["events"] == 10
    assert summary["bad_events"] == 0
    assert summary["voxels"] == {"left": 200, "right": 200}
    with h5py.File(tmp_path / "1" / "run" / "events" / "left_00002.h5") as file:
        attributes = dict(file.attrs)
    assert (attributes["first_event"], attributes["stop_event"], attributes["bad_events"]) == (8, 10, 0)
    assert (as_text(attributes["physics"]), as_text(attributes["origin"]), attributes["seed"]) == ("none", "made", 1)
    assert json.loads(as_text(attributes["source"]))["kind"] == KIND
    assert attributes["git_hash"]


def test_finished_parts_are_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    arguments = {"log": str(log)}
    assert main([str(chain(tmp_path, **arguments))]) == 0
    first = contents(tmp_path)
    assert log.read_text().split() == [str(i) for i in range(10)]
    assert main([str(chain(tmp_path, **arguments))]) == 0
    assert "done before" in capsys.readouterr().out
    folder = tmp_path / "run" / "events"
    (folder / "right_00001.h5").unlink()
    (folder / "simulation.json").unlink()
    log.unlink()
    assert main([str(chain(tmp_path, **arguments))]) == 0  # the part lacks a stream
    assert log.read_text().split() == ["4", "5", "6", "7"]
    assert contents(tmp_path) == first

    log.unlink()
    assert main([str(chain(tmp_path, events=13, **arguments))]) == 0  # more events: the last part is made again
    assert log.read_text().split() == ["8", "9", "10", "11", "12"]
    assert contents(tmp_path)[:10] == first


def test_files_of_another_simulation_are_put_aside(tmp_path: Path) -> None:
    assert main([str(chain(tmp_path))]) == 0
    first = contents(tmp_path)
    path = str(chain(tmp_path, seed=2))
    assert main([path]) == 0
    aside = list((tmp_path / "run").glob("events-until-*"))
    assert len(aside) == 1
    assert len(list(aside[0].glob("left_*.h5"))) == 3
    second = contents(tmp_path)
    assert second != first
    assert main([path, "--force"]) == 0
    assert len(list((tmp_path / "run").glob("events-until-*"))) == 2
    assert contents(tmp_path) == second


def test_a_bad_event_stops_or_is_left_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(chain(tmp_path, bad=[5]))]) == 2
    assert "event 5 cannot be made: it is bad" in capsys.readouterr().err
    assert not list((tmp_path / "run" / "events").glob(".unfinished-*"))
    assert main([str(chain(tmp_path, bad=[5], on_bad_event="skip"))]) == 0
    assert "bad 1" in capsys.readouterr().err
    events = contents(tmp_path)
    assert [len(coords) for coords, _, _ in events] == [20] * 5 + [0] + [20] * 4
    summary = json.loads((tmp_path / "run" / "events" / "simulation.json").read_text())
    assert summary["bad_events"] == 1


def test_what_is_missing_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(chain(tmp_path, missing=True, processes=2))]) == 2
    assert "the package of this source is missing: install it" in capsys.readouterr().err


def test_a_process_that_dies_is_named_and_its_part_alone_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(chain(tmp_path, die_at=9))]) == 2
    assert "a simulating process died (exit code 9" in capsys.readouterr().err
    names = sorted(path.name for path in (tmp_path / "run" / "events").glob("*.h5"))
    assert names == [f"{stream}_{n:05d}.h5" for stream in ("left", "right") for n in range(2)]


def test_a_killed_simulation_continues_and_leaves_no_process(tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = chain(tmp_path, events=40, processes=2, wait_s=0.05, log=str(log))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-m", "lartpc_sparse.run", str(path)]
    folder = tmp_path / "run" / "events"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(list(folder.glob("right_*.h5"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    time.sleep(1.0)
    made = log.read_text().split()
    time.sleep(0.5)
    assert log.read_text().split() == made  # the processes have ended too
    done = sorted(folder.glob("*.h5"))
    times = {part: part.stat().st_mtime_ns for part in done}
    assert not (folder / "simulation.json").exists()

    assert main([str(path)]) == 0
    assert {part: part.stat().st_mtime_ns for part in done} == times
    assert not list(folder.glob(".unfinished-*"))
    again = tmp_path / "again"
    again.mkdir()
    assert main([str(chain(again, events=40, wait_s=0.0))]) == 0
    assert contents(tmp_path) == contents(again)


def test_a_chain_trains_on_what_it_simulates(tmp_path: Path) -> None:
    files = [str(tmp_path / "run" / "events" / "left_*.h5")]
    values = {
        "run": {"output_dir": str(tmp_path / "run"), "device": "cpu"},
        "simulate": {"kind": KIND, "events": 6},
        "data": {name: {"kind": "voxels", "files": files} for name in ("train", "validation", "test")}
        | {"batch": {"events": 2}},
        "model": {
            "backbone": {"kind": "uresnet", "filters": 4, "depth": 1, "blocks": 1},
            "heads": {"semantic": {"kind": "semantic"}},
        },
        "train": {"epochs": 1},
        "predict": {},
    }
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main([str(path)]) == 0
    assert (tmp_path / "run" / "predictions.h5").is_file()


def test_both_forms_of_the_section_are_one(tmp_path: Path) -> None:
    short = load_config(chain(tmp_path, voxels=7), ChainConfig)
    assert short.simulate is not None
    assert short.simulate.source.model_dump()["voxels"] == 7
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_config(short))
    assert "model" not in resolved.read_text()
    assert load_config(resolved, ChainConfig) == short


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": KIND, "evnts": 3}, "did you mean 'events'?"),
        ({"kind": KIND, "voxel": 3}, "did you mean 'voxels'?"),
        ({"source": {"kind": KIND, "voxel": 3}}, "simulate.source.voxel: unknown key; did you mean 'voxels'?"),
        ({"kind": "geant5"}, "did you mean 'geant4'?"),
        ({"kind": "geant4", "bunches": [{"count": [1, 2], "species": [{"particles": ["muon"]}]}]}, "'mu-', 'mu+'"),
        ({"events": 3}, "source"),
        ({"kind": KIND, "processes": 0}, "processes is auto or at least 1"),
        ({"kind": KIND, "events": 0}, "events"),
        ({"kind": KIND, "output": "."}, "output is the name of a folder"),
        ({"kind": KIND, "output": "../else"}, "output is the name of a folder"),
    ],
)
def test_a_wrong_section_is_refused(
    tmp_path: Path, section: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump({"simulate": section}))
    assert main([str(path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("values", [{}, {"simulate": {"kind": KIND}, "predict": {}}])
def test_a_chain_that_learns_needs_a_model(
    tmp_path: Path, values: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump({"run": {"output_dir": str(tmp_path)}, **values}))
    assert main([str(path)]) == 2
    assert "needs the section model" in capsys.readouterr().err


def test_events_are_made_again_when_a_file_that_the_source_reads_has_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(energy: float) -> None:
        with VoxelFileWriter(tmp_path / "in.h5", image_size=(64, 64, 64), classes=FIVE, voxel_size_mm=3.0) as writer:
            coords = np.stack([np.arange(20, 40)] * 3, axis=1).astype(np.int32)
            labels = {"semantic": np.ones(20, dtype=np.int64), "instance": np.zeros(20, dtype=np.int64)}
            values = np.full(20, energy, dtype=np.float32)
            writer.write(Event(EventKey("in.h5", 0), coords, values, (64, 64, 64), classes=FIVE, labels=labels))

    path = tmp_path / "planes.yaml"
    reader = {"kind": "voxels", "files": [str(tmp_path / "in.h5")]}
    simulate = {"kind": "wire_planes", "events": 1, "processes": 1, "reader": reader, "placement": {"where": "centre"}}
    path.write_text(yaml.safe_dump({"run": {"output_dir": str(tmp_path / "run")}, "simulate": simulate}))
    sums = []
    for energy in (0.7, 0.7, 1.4):
        write(energy)
        assert main([str(path)]) == 0
        image = VoxelsConfig(files=(str(tmp_path / "run" / "events" / "y_*.h5"),)).build().read(0)
        sums.append(float(image.energy.sum()))
        assert main([str(path)]) == 0
        assert "done before" in capsys.readouterr().out
    assert sums[0] == sums[1] < sums[2]

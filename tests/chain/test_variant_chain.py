"""A chain with `for_each`, for real and tiny: shared simulation, two planes, repetition, kill and resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lartpc_sparse.run import main

CHAIN = Path(__file__).resolve().parents[2] / "configs" / "sparsessnet_planes_small.yaml"
SMALL = [
    "for_each.plane=[u, y]",
    "simulate.events=3",
    "simulate.processes=1",
    "data.train.select=[0, 2]",
    "data.validation.select=[2, 3]",
    "data.test.select=[2, 3]",
    "data.batch={events: 1}",
    "model.backbone={kind: uresnet, filters: 2, depth: 2, blocks: 1}",
    "train.epochs=1",
    "report.displays=1",
    "run.threads=1",
    "run.device=cpu",
]


def arguments(folder: Path, *more: str) -> list[str]:
    return [str(CHAIN), "--set", *SMALL, f"run.output_dir={folder}", *more]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "training" / "last.ckpt", weights_only=True)["state_dict"]
    return found


def test_two_planes_from_one_simulation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path)) == 0
    out = capsys.readouterr().out
    assert out.count("simulate: wrote") == 1
    for plane in ("u", "y"):
        folder = tmp_path / f"plane={plane}"
        assert {"training", "predictions.h5", "metrics.json", "report.html", "config.yaml"} <= {
            path.name for path in folder.iterdir()
        }
        assert not (folder / "events").exists()
        assert f"{tmp_path}/events/{plane}_*.h5" in (folder / "config.yaml").read_text()
    found = json.loads((tmp_path / "summary.json").read_text())
    assert [variant["status"] for variant in found["variants"]] == ["done", "done"]
    assert [variant["report"] for variant in found["variants"]] == ["plane%3Du/report.html", "plane%3Dy/report.html"]
    assert (tmp_path / "summary.html").is_file()

    assert main(arguments(tmp_path)) == 0  # nothing is done twice
    out = capsys.readouterr().out
    assert out.count("done before, inputs unchanged") == 1 + 2 * 4

    # A variant is the same alone as after another one.
    alone = tmp_path / "alone"
    assert main(arguments(alone, "--only", "simulate", "train", "--variant", "plane=y")) == 0
    ours, reference = weights(alone / "plane=y"), weights(tmp_path / "plane=y")
    assert all(torch.equal(ours[name], reference[name]) for name in reference)


@pytest.mark.slow
def test_a_kill_in_the_second_variant_continues_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lartpc_sparse.run", *arguments(tmp_path, "train.epochs=60")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = tmp_path / "plane=y" / "training" / "training.csv"
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 6):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the chain ended before it could be killed"
    first = tmp_path / "plane=u" / "training" / "last.ckpt"
    before, rows = first.stat().st_mtime_ns, log.read_text().splitlines()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.count("done before, inputs unchanged") == 1 + 4  # the simulation, and all of plane u
    assert first.stat().st_mtime_ns == before
    assert log.read_text().splitlines()[:3] == rows[:3]
    assert not list((tmp_path / "plane=y").glob("training-until-*"))
    assert [v["status"] for v in json.loads((tmp_path / "summary.json").read_text())["variants"]] == ["done", "done"]

"""Kill -9 in the middle of a training: the same command continues it, bit for bit."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Arguments = Callable[..., list[str]]
TIMINGS = {"voxels_per_s", "data_wait_fraction", "epoch_data_wait_fraction"}


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "lartpc_sparse.run", *arguments, "--only", "train"]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _log(folder: Path) -> list[dict[str, str]]:
    with (folder / "training" / "training.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMINGS} for row in csv.DictReader(file)]


def _weights(folder: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / "training" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "workers"),
    [("null", 0), ("1", 0), ("null", 2)],
    ids=["saved each epoch", "saved each step", "reader processes"],
)
def test_a_killed_training_continues(every: str, workers: int, small_chain: Arguments, tmp_path: Path) -> None:
    options = (
        "train.epochs=4",
        f"train.checkpoint_every_steps={every}",
        "run.threads=1",
        "data.batch={events: 1}",
        "data.overlay={count: [0, 2], probability: 0.7}",
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(_command(small_chain(*options, folder=whole)), env=_environment(), check=True, capture_output=True)

    command = _command(small_chain(*options, f"data.workers={workers}", folder=killed))
    process = subprocess.Popen(command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = killed / "training" / "training.csv"
    # Well inside the second epoch: seven batches and one validation row are logged.
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") > 8):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "the training ended before it could be killed"
    interrupted = len(_log(killed))
    assert interrupted < len(_log(whole))

    done = subprocess.run(command, env=_environment(), check=True, capture_output=True, text=True)
    assert "train: wrote" in done.stdout
    assert _log(killed) == _log(whole)
    ours, reference = _weights(killed), _weights(whole)
    assert ours.keys() == reference.keys()
    assert all(torch.equal(ours[name], reference[name]) for name in ours)

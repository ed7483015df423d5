"""Runs commands of the package as processes, waits for them, kills them, compares what they leave."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

HERE = Path(__file__).resolve().parent
TIMES = ("voxels_per_s", "data_wait_fraction")


@dataclass
class Runner:
    """Talks to `zygote.py`."""

    log: Path
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1])}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline()) == "ready"

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _ask(self, order: dict[str, Any]) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        answer: int = json.loads(self.process.stdout.readline())
        return answer

    def start(self, arguments: Sequence[str], *, module: str = "run", **environment: str) -> int:
        path = [str(HERE.parent / "simulate"), str(HERE)]
        order = {"arguments": list(arguments), "module": module, "output": str(self.log), "path": path}
        return self._ask({**order, "environment": environment})

    def wait(self, number: int) -> int:
        return self._ask({"wait": number})

    def run(self, arguments: Sequence[str], *, module: str = "run", **environment: str) -> int:
        return self.wait(self.start(arguments, module=module, **environment))

    def start_ranks(self, arguments: Sequence[str], ranks: int = 2) -> list[int]:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = str(found.getsockname()[1])
        common = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1"}
        return [
            self.start(arguments, RANK=str(rank), LOCAL_RANK=str(rank), MASTER_PORT=port, **common)
            for rank in range(ranks)
        ]

    def run_ranks(self, arguments: Sequence[str], ranks: int = 2) -> list[int]:
        return [self.wait(number) for number in self.start_ranks(arguments, ranks)]

    def kill(self, arguments: Sequence[str], after_s: float, sign: signal.Signals, *, module: str = "run") -> int:
        """Start, kill after a while, and wait."""
        number = self.start(arguments, module=module)
        time.sleep(after_s)
        os.kill(number, sign)
        return self.wait(number)

    @property
    def output(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


def training_log(folder: Path) -> list[dict[str, str]]:
    with (folder / "training" / "training.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.endswith(TIMES)} for row in csv.DictReader(file)]


def tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: step and value of every scalar that is no time."""
    events = EventAccumulator(str(folder / "training" / "tensorboard")).Reload()
    names = [name for name in events.Tags()["scalars"] if not name.endswith(TIMES)]
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in names}


def weights(folder: Path, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "training" / name, weights_only=True)["state_dict"]
    return found


def columns(path: Path) -> dict[str, np.ndarray]:
    """All data sets of an HDF5 file, without the times of decoding."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: values for name, values in found.items() if "decode:seconds" not in name}


def assert_same_columns(one: Path, other: Path) -> None:
    ours, theirs = columns(one), columns(other)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert values.dtype == theirs[name].dtype
        assert values.shape == theirs[name].shape
        assert values.tobytes() == theirs[name].tobytes() or values.dtype.kind == "O", name
        if values.dtype.kind == "O":
            assert values.tolist() == theirs[name].tolist(), name


def assert_same_training(one: Path, other: Path) -> None:
    assert tensorboard(one) == tensorboard(other)
    assert training_log(one) == training_log(other)
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = weights(one, name), weights(other, name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]

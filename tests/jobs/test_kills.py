"""Kills at random moments: what goes on afterwards is what would have been without them, to the last bit.

Five kills in the normal tests; `make test-kills` sets LARTPC_SPARSE_KILLS to 100.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from job_runner import Runner, assert_same_columns, assert_same_training, columns

JobChain = Callable[..., list[str]]

KILLS = int(os.environ.get("LARTPC_SPARSE_KILLS", "5"))
SHARES = {"train": 0.4, "predict": 0.2, "simulate": 0.2, "convert": 0.2}
SEED = int(os.environ.get("LARTPC_SPARSE_KILL_SEED", str(time.time_ns() % 10**6)))


class Trials:
    """Runs a command whole, then kills it at random moments and lets it go on."""

    def __init__(self, runner: Runner, step: str, tmp_path: Path) -> None:
        self.runner, self.step, self.folder = runner, step, tmp_path
        self.number = max(round(KILLS * SHARES[step]), 1)
        self.random = np.random.default_rng([SEED, list(SHARES).index(step)])

    def run(
        self, command: Callable[[Path], list[str]], compare: Callable[[Path, Path], None], module: str = "run"
    ) -> None:
        whole = self.folder / "whole"
        begin = time.monotonic()
        assert self.runner.run(command(whole), module=module) == 0, self.runner.output
        seconds = time.monotonic() - begin
        hits = 0
        for trial in range(self.number):
            killed = self.folder / f"killed-{trial}"
            sign = (signal.SIGKILL, signal.SIGTERM)[(trial + list(SHARES).index(self.step)) % 2]
            code = 0
            for _ in range(3):  # a machine that has become faster: again, earlier
                code = self.runner.kill(command(killed), self.random.uniform(0.02, seconds), sign, module=module)
                if code != 0:
                    break
                shutil.rmtree(killed, ignore_errors=True)
                seconds *= 0.7
            assert code in (0, 75, -sign), f"seed {SEED}: {self.runner.output}"
            hits += code != 0
            assert self.runner.run(command(killed), module=module) == 0, f"seed {SEED}: {self.runner.output}"
            compare(whole, killed)
            shutil.rmtree(killed, ignore_errors=True)
        print(f"{self.step}: {hits} of {self.number} kills hit, seed {SEED}")


@pytest.mark.slow
def test_train(runner: Runner, job_chain: JobChain, tmp_path: Path) -> None:
    options = ("train.epochs=4", "train.checkpoint_every_steps=1", "train.accumulate=2", "data.batch.events=1")
    Trials(runner, "train", tmp_path).run(lambda folder: job_chain(folder.name, *options), assert_same_training)


@pytest.mark.slow
def test_predict(runner: Runner, job_chain: JobChain, tmp_path: Path) -> None:
    assert runner.run(job_chain("train", "train.epochs=1", "data.train.limit=2")) == 0, runner.output
    chosen = f"predict.checkpoint={tmp_path / 'train' / 'training' / 'best.ckpt'}"
    options = (chosen, "data.test.limit=24", "predict.part_events=2")
    Trials(runner, "predict", tmp_path).run(
        lambda folder: job_chain(folder.name, *options, only="predict"),
        lambda one, other: assert_same_columns(one / "predictions.h5", other / "predictions.h5"),
    )


def same_simulation(one: Path, other: Path) -> None:
    files = sorted(path.name for path in (one / "events").glob("*.h5"))
    assert files == sorted(path.name for path in (other / "events").glob("*.h5"))
    for name in files:
        assert_same_columns(one / "events" / name, other / "events" / name)


@pytest.mark.slow
def test_simulate(runner: Runner, tmp_path: Path) -> None:
    def command(folder: Path) -> list[str]:
        source = {"kind": "made_source:MadeConfig", "events": 24, "events_per_file": 4, "processes": 1, "wait_s": 0.02}
        path = tmp_path / f"{folder.name}.yaml"
        path.write_text(yaml.safe_dump({"run": {"name": "made", "output_dir": str(folder)}, "simulate": source}))
        return [str(path)]

    Trials(runner, "simulate", tmp_path).run(command, same_simulation)


@pytest.mark.slow
def test_convert(runner: Runner, tmp_path: Path) -> None:
    source = str(Path(__file__).resolve().parents[2] / "lartpc_sparse" / "data" / "sample" / "validation.h5")

    def command(folder: Path) -> list[str]:
        folder.mkdir(exist_ok=True)
        return [source, str(folder / "out.h5"), "--to", "voxels", "--part-events", "3"]

    def compare(one: Path, other: Path) -> None:
        assert_same_columns(one / "out.h5", other / "out.h5")
        assert sorted(path.name for path in other.iterdir()) == ["out.h5"]
        with h5py.File(one / "out.h5") as ours, h5py.File(other / "out.h5") as theirs:
            names = set(ours.attrs) - {"created"}
            assert {name: str(ours.attrs[name]) for name in names} == {n: str(theirs.attrs[n]) for n in names}
        assert len(columns(one / "out.h5"))

    Trials(runner, "convert", tmp_path).run(command, compare, module="convert")

"""Options of the section train: what each of them changes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from lartpc_sparse.provenance import __version__
from lartpc_sparse.run import main
from lartpc_sparse.weights import CHECKPOINT_KEY, read_checkpoint

Arguments = Callable[..., list[str]]


def _steps(folder: Path) -> list[int]:
    with (folder / "training" / "training.csv").open(newline="") as file:
        return [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]


def _train(arguments: list[str]) -> None:
    assert main([*arguments, "--only", "train"]) == 0


def test_a_checkpoint_says_what_made_it(small_chain: Arguments, tmp_path: Path) -> None:
    _train(small_chain("train.epochs=1"))
    checkpoint = read_checkpoint(tmp_path / "run" / "training" / "last.ckpt")
    entry = checkpoint[CHECKPOINT_KEY]
    assert entry["lartpc_sparse_version"] == __version__
    assert entry["git_hash"]
    assert yaml.safe_load(entry["config"])["train"]["epochs"] == 1
    assert checkpoint["global_step"] == 3


def test_the_share_of_waiting_for_data_is_logged_once_an_epoch(small_chain: Arguments, tmp_path: Path) -> None:
    _train(small_chain("train.epochs=2"))
    with (tmp_path / "run" / "training" / "training.csv").open(newline="") as file:
        shares = [row["epoch_data_wait_fraction"] for row in csv.DictReader(file)]
    found = [float(share) for share in shares if share]
    assert len(found) == 2
    assert all(0 < share < 1 for share in found)


def test_accumulated_batches_make_fewer_steps(small_chain: Arguments, tmp_path: Path) -> None:
    _train(small_chain("train.epochs=2", "train.accumulate=2"))
    checkpoint = read_checkpoint(tmp_path / "run" / "training" / "last.ckpt")
    assert checkpoint["global_step"] == 4  # three batches an epoch are two steps


def test_early_stop(small_chain: Arguments, tmp_path: Path) -> None:
    _train(small_chain("train.epochs=6", "train.early_stop={patience: 1, min_delta: 1000}"))
    assert max(_steps(tmp_path / "run")) == 5  # the first validation counts as an improvement, the second does not


def test_early_stop_without_validation_is_refused(
    small_chain: Arguments,
    small_steps: dict[str, dict[str, object]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del small_steps["data"]["validation"]
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(small_steps))
    overrides = [word for word in small_chain("train.early_stop={patience: 1}") if "validation" not in word]
    assert main([str(chain), *overrides[1:], "--only", "train"]) == 2
    assert "data.validation is missing" in capsys.readouterr().err


def test_training_without_validation_data(
    small_chain: Arguments, small_steps: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    """Best and last are then the same checkpoint under two names; prediction takes either."""
    del small_steps["data"]["validation"]
    chain = tmp_path / "chain.yaml"
    chain.write_text(yaml.safe_dump(small_steps))
    overrides = [word for word in small_chain("train.epochs=1") if "validation" not in word]
    assert main([str(chain), *overrides[1:], "--only", "train", "predict"]) == 0
    folder = tmp_path / "run"
    assert (folder / "training" / "best.ckpt").exists()
    assert (folder / "training" / "last.ckpt").exists()
    assert (folder / "predictions.h5").exists()


@pytest.mark.parametrize(("every", "validated"), [(2, [1, 2]), (9, [2]), (1, [0, 1, 2])])
def test_the_last_epoch_is_always_validated(
    small_chain: Arguments, tmp_path: Path, every: int, validated: list[int]
) -> None:
    _train(small_chain("train.epochs=3", f"train.validate_every={every}"))
    folder = tmp_path / "run" / "training"
    with (folder / "training.csv").open(newline="") as file:
        losses = {int(row["epoch"]): float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]}
    assert list(losses) == validated
    best = read_checkpoint(folder / "best.ckpt")["epoch"]
    assert best == min(validated, key=lambda epoch: losses[epoch])


def test_half_precision(small_chain: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _train(small_chain("train.epochs=1", "train.precision=bf16"))
    weights = read_checkpoint(tmp_path / "run" / "training" / "last.ckpt")["state_dict"].values()
    assert {value.dtype for value in weights if value.is_floating_point()} == {torch.float32}
    arguments = small_chain("train.epochs=1", "train.precision=16", "run.device=cpu", folder=tmp_path / "other")
    assert main([*arguments, "--only", "train"]) == 2
    assert "needs a CUDA device" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_share_the_batches(small_chain: Arguments, tmp_path: Path) -> None:
    arguments = small_chain("train.devices=2", "run.device=cpu", "train.epochs=1", "data.batch={events: 1}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "lartpc_sparse.run", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert _steps(tmp_path / "run") == [0, 1, 2]  # six events, one a batch, on two processes
    assert (tmp_path / "run" / "report.html").is_file()
    assert done.stdout.count("predict: wrote") == 1
    assert done.stdout.count("CPU threads, engine ") == 1


def test_options_that_act_across_ranks_want_a_launcher(
    small_chain: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = small_chain("train.devices=2", "run.device=cpu", "train.epochs=1", "train.on_bad_loss=skip")
    assert main([*arguments, "--only", "train"]) == 2
    found = capsys.readouterr().err
    assert "train.on_bad_loss: skip cannot act over 2 devices" in found
    assert "torchrun --nproc-per-node 2" in found

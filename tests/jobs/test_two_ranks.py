"""Two processes of one job, really started: the same losses, weights and predictions as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from job_runner import Runner, assert_same_columns, events, training_log, weights

JobChain = Callable[..., list[str]]
REPOSITORY = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
"""Relative, of every logged number: float32 sums in another order."""

# All edges of the graph: which of them are left out depends on the order of the events, which the ranks share out.
ALL_HEADS = (
    "model.heads={semantic: {kind: semantic}, particles: {kind: spatial_embedding},"
    " graph: {kind: voxel_graph, max_edges: 10000000},"
    " gaps: {kind: inpaint, region: {kind: mask_boxes, size: 6, count: 4}, regression: {weighting: learned_softmax}}}"
)


def numbers(folder: Path) -> list[dict[str, float]]:
    return [{name: float(value) for name, value in row.items() if value} for row in training_log(folder)]


def assert_close(one: Path, other: Path) -> None:
    rows, others = numbers(one), numbers(other)
    assert len(rows) == len(others)
    for row, theirs in zip(rows, others, strict=True):
        assert row.keys() == theirs.keys()
        for name, value in row.items():
            assert theirs[name] == pytest.approx(value, rel=TOLERANCE, abs=1e-7), (row["step"], name)


def test_two_ranks_have_the_losses_of_one(runner: Runner, job_chain: JobChain, tmp_path: Path) -> None:
    # Five events in batches of four: in the last batch, one rank has an event, the other none.
    shared = (ALL_HEADS, "train.batch_norm_across_ranks=true", "data.train.limit=5", "data.validation.limit=3")
    assert runner.run(job_chain("one", *shared, "data.batch.events=4")) == 0, runner.output
    assert runner.run_ranks(job_chain("two", *shared)) == [0, 0], runner.output
    assert_close(tmp_path / "one", tmp_path / "two")
    ours, theirs = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, values in ours.items():  # Adam divides by the size of a gradient, so tiny ones show more
        torch.testing.assert_close(theirs[name], values, rtol=1e-3, atol=1e-4, msg=name)
    told = [event for event in events(tmp_path / "two") if event["event"] == "rank_imbalance"]
    assert len(told) == 1
    assert 1.0 <= told[0]["fullest_over_mean"] <= 2.0
    assert {event["rank"] for event in events(tmp_path / "two")} == {0, 1}


def test_the_end_of_a_step_tells_speed_and_memory_of_all_ranks(
    runner: Runner, job_chain: JobChain, tmp_path: Path
) -> None:
    steps = job_chain("run", "train.epochs=1", "data.test.limit=4", only="train predict")
    assert runner.run_ranks(steps) == [0, 0], runner.output
    found = events(tmp_path / "run")
    for step in ("train", "predict"):
        ended = [event for event in found if event["event"] == "progress" and event["of"] == step]
        ended = [event for event in ended if event["state"] == "ended"]
        done = {event["rank"]: event for event in found if event["event"] == "step_done" and event["step"] == step}
        assert {event["rank"] for event in ended} == set(done) == {0, 1}
        assert min(event["voxels"] for event in ended) > 0
        together = done[0]["all_ranks"]
        voxels, seconds = sum(event["voxels"] for event in ended), max(event["seconds"] for event in ended)
        assert together["rate"] == pytest.approx(voxels / seconds)
        assert together["rate"] > max(event["voxels"] for event in ended) / seconds
        assert together["peak_memory"]["host"] == max(done[rank]["peak_memory"]["host"] for rank in (0, 1))
        assert "all_ranks" not in done[1]
        (line,) = (line for line in runner.output.splitlines() if line.startswith(f"{step}: wrote"))
        assert f"{together['rate']:,.0f} voxels/s" in line
        assert "highest of 2 ranks" in line


def test_accumulated_gradients_and_other_norms(runner: Runner, job_chain: JobChain, tmp_path: Path) -> None:
    shared = ("model.backbone.norm=layer", "train.accumulate=2", "data.train.limit=6", "train.epochs=1")
    assert runner.run(job_chain("one", *shared, "data.batch.events=2")) == 0, runner.output
    assert runner.run_ranks(job_chain("two", *shared, "data.batch.events=1")) == [0, 0], runner.output
    assert_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_torchrun_runs_a_chain_without_other_flags(job_chain: JobChain, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "lartpc_sparse.run"]
    steps = job_chain("run", "train.epochs=1", "data.train.limit=2", only="train predict")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *steps], check=False, cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("predict: wrote") == 1
    assert "2 ranks on 1 nodes" in done.stdout
    assert (tmp_path / "run" / "predictions.h5").exists()


def test_predictions_are_the_same_whoever_makes_them(runner: Runner, job_chain: JobChain, tmp_path: Path) -> None:
    assert runner.run(job_chain("train")) == 0, runner.output
    chosen = f"predict.checkpoint={tmp_path / 'train' / 'training' / 'best.ckpt'}"
    assert runner.run(job_chain("one", chosen, only="predict")) == 0, runner.output
    assert runner.run_ranks(job_chain("two", chosen, only="predict")) == [0, 0], runner.output
    assert_same_columns(tmp_path / "one" / "predictions.h5", tmp_path / "two" / "predictions.h5")

    # A job array: each share by itself, then a run that only joins.
    array = job_chain("array", chosen, only="predict")
    assert [runner.run([*array, "--shard", f"{number}/3"]) for number in (2, 0)] == [0, 0], runner.output
    assert not (tmp_path / "array" / "predictions.h5").exists()
    parts = list((tmp_path / "array" / "predictions.h5.parts").rglob("*.h5"))
    assert 0 < len(parts) < 3
    damaged = parts[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert runner.run(array) == 0, runner.output
    said = [event["message"] for event in events(tmp_path / "array") if event["event"] == "warning"]
    assert said == [f"{damaged} is damaged or missing and is predicted again"]
    assert_same_columns(tmp_path / "one" / "predictions.h5", tmp_path / "array" / "predictions.h5")
    assert not (tmp_path / "array" / "predictions.h5.parts").exists()
    done = [event["part"] for event in events(tmp_path / "array") if event["event"] == "part_done"]
    assert set(done) == {0, 1, 2}
    assert len(done) == 4  # the damaged one twice


def test_a_rank_that_dies_ends_the_job_and_the_next_one_continues(
    runner: Runner, job_chain: JobChain, tmp_path: Path
) -> None:
    options = ("train.epochs=3", "train.checkpoint_every_steps=1", "data.batch.events=1", "data.train.limit=6")
    assert runner.run_ranks(job_chain("whole", *options)) == [0, 0], runner.output
    ranks = runner.start_ranks(job_chain("hurt", *options))
    last = tmp_path / "hurt" / "training" / "last.ckpt"
    until = time.monotonic() + 60
    while not last.exists() and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(ranks[1], signal.SIGKILL)
    codes = [runner.wait(number) for number in ranks]
    assert codes[1] == -signal.SIGKILL
    assert codes[0] == 6, runner.output
    lost = [line for line in runner.output.splitlines() if line.startswith("error: ")]
    assert len(lost) == 1
    assert "rank 0 has lost the connection to another one" in lost[0]
    assert runner.run_ranks(job_chain("hurt", *options)) == [0, 0], runner.output
    assert training_log(tmp_path / "hurt") == training_log(tmp_path / "whole")
    ours, theirs = weights(tmp_path / "hurt"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_rank_that_dies_while_predicting_ends_the_job_and_the_next_one_continues(
    runner: Runner, job_chain: JobChain, tmp_path: Path
) -> None:
    assert runner.run(job_chain("train", "train.epochs=1", "data.train.limit=2")) == 0, runner.output
    options = (
        f"predict.checkpoint={tmp_path / 'train' / 'training' / 'best.ckpt'}",
        "data.test.limit=40",
        "predict.part_events=1",
    )
    assert runner.run(job_chain("whole", *options, only="predict")) == 0, runner.output
    folder = tmp_path / "hurt"
    ranks = runner.start_ranks(job_chain("hurt", *options, only="predict"))

    def parts_done() -> set[int]:
        done = (event for event in events(folder) if event["event"] == "part_done" and event["rank"] == 1)
        return {event["part"] for event in done}

    until = time.monotonic() + 60
    while time.monotonic() < until and not ((folder / "events.jsonl").exists() and parts_done()):
        time.sleep(0.005)
    os.kill(ranks[1], signal.SIGKILL)
    assert [runner.wait(number) for number in ranks] == [6, -signal.SIGKILL], runner.output
    kept = parts_done()
    assert 0 < len(kept) < 20
    assert not (folder / "predictions.h5").exists()
    assert runner.run_ranks(job_chain("hurt", *options, only="predict")) == [0, 0], runner.output
    done = [event["part"] for event in events(folder) if event["event"] == "part_done"]
    assert sorted(done) == list(range(40))  # what was done before is not done again
    assert_same_columns(tmp_path / "whole" / "predictions.h5", folder / "predictions.h5")


@pytest.mark.parametrize("losses", ["global", "local"])
@pytest.mark.parametrize("action", ["stop", "skip"])
def test_a_loss_that_is_not_finite_on_one_of_two_ranks(
    runner: Runner, job_chain: JobChain, tmp_path: Path, losses: str, action: str
) -> None:
    # The loss of event 2 is not a number: with local losses, of one rank alone.
    options = (
        f"train.loss_across_ranks={losses}",
        f"train.on_bad_loss={action}",
        "data.validation=null",
        "data.train.limit=4",
        "data.batch.events=1",
        "train.epochs=1",
        "model.heads={bad: {kind: 'bad_head:BadConfig'}}",
    )
    codes = runner.run_ranks(job_chain("run", *options))
    found = events(tmp_path / "run")
    bad = [event for event in found if event["event"] == "bad_loss"]
    kept = sorted((tmp_path / "run" / "training").glob("bad_batch_*.npz"))
    assert len(bad) == (2 if losses == "global" else 1)
    assert len({event["step"] for event in bad}) == 1
    assert len(kept) == 1
    with np.load(kept[0], allow_pickle=False) as batch:
        assert 2 in batch["event_entry"]
        assert len(batch["event_entry"]) == len(bad)
    if action == "stop":
        assert codes == [5, 5], runner.output
        assert runner.output.count("the loss became nan") == len(bad)
        assert not (tmp_path / "run" / "training" / "last.ckpt").exists()
    else:
        assert codes == [0, 0], runner.output
        assert all(torch.isfinite(value).all() for value in weights(tmp_path / "run").values())


def test_a_signal_on_one_rank_stops_all_of_them_at_one_step(
    runner: Runner, job_chain: JobChain, tmp_path: Path
) -> None:
    options = ("train.epochs=40", "data.batch.events=1", "data.train.limit=6", "data.validation=null")
    ranks = runner.start_ranks(job_chain("run", *options))
    log = tmp_path / "run" / "training" / "training.csv"
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and log.read_text().count("\n") > 5):
        time.sleep(0.01)
    os.kill(ranks[1], signal.SIGUSR1)
    assert [runner.wait(number) for number in ranks] == [75, 75], runner.output
    stopped = [event for event in events(tmp_path / "run") if event["event"] == "training_stopped"]
    assert len({event["step"] for event in stopped}) == 1
    assert len(np.unique([event["rank"] for event in stopped])) == 2

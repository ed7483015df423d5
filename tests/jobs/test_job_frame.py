"""Locks, heartbeats, event log, signals, ranks of the launchers."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lartpc_sparse.jobs import (
    EXIT_CODES,
    EventLog,
    Heartbeat,
    LockedError,
    Ranks,
    Shard,
    StepFigures,
    Stopped,
    StopSignals,
    find_ranks,
    joined,
    locked,
    note,
    running,
    stopping_at_once,
)
from lartpc_sparse.jobs.heartbeat import beat_of
from lartpc_sparse.jobs.lock import refuse_held
from lartpc_sparse.jobs.ranks import first_host
from lartpc_sparse.progress import track
from lartpc_sparse.schema import UserError


def no_sleep(seconds: float) -> None:
    del seconds


def test_a_lock_is_held_and_let_go(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with locked(lock, tmp_path / "beat"):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
        with pytest.raises(LockedError, match=f"process {os.getpid()} on"), locked(lock, tmp_path / "beat"):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pid": 2**22 + 1}, "is gone"),
        ({"began": 1}, "is gone"),  # the number went to another process
        ({"host": "elsewhere"}, "stands still"),
        ({"host": "elsewhere", "job": "77", "restarts": ""}, "requeued"),
    ],
)
def test_a_lock_that_is_left_over_is_taken(
    tmp_path: Path,
    change: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("lartpc_sparse"), "propagate", True)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    lock, beat = tmp_path / "run.lock", tmp_path / "beat"
    with locked(lock, beat):
        owner = json.loads(lock.read_text())
    lock.write_text(json.dumps({**owner, **({"job": "5"} if "job" not in change else {}), **change}))
    with Heartbeat(beat, dict), locked(lock, beat, sleep=no_sleep):
        assert json.loads(lock.read_text())["id"] != owner["id"]
    assert reason in caplog.text


def test_a_lock_of_a_living_job_elsewhere_is_respected_whatever_the_clocks_say(tmp_path: Path) -> None:
    lock, beat = tmp_path / "run.lock", tmp_path / "beat"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "id": "x"}))
    values = {"host": "elsewhere", "pid": 1, "beat": 3, "time": "1970-01-01T00:00:00Z"}
    beat.write_text(json.dumps(values))

    def beats(seconds: float) -> None:
        beat.write_text(json.dumps({**values, "beat": 4}))

    with pytest.raises(LockedError, match="on elsewhere"), locked(lock, beat, sleep=beats):
        pass
    assert lock.exists()


def test_a_damaged_lock_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("{")
    with locked(tmp_path / "run.lock", tmp_path / "beat"):
        pass


def test_shards_share_a_directory_that_a_whole_job_does_not(tmp_path: Path) -> None:
    with running(tmp_path, Ranks(), Shard(0, 2)), running(tmp_path, Ranks(), Shard(1, 2)):
        with pytest.raises(LockedError), running(tmp_path, Ranks(), Shard(1, 2)):
            pass
        with pytest.raises(LockedError), running(tmp_path, Ranks()):
            pass
    shares = {f"heartbeat.json.{number}-of-2" for number in range(2)}
    assert shares <= {path.name for path in tmp_path.iterdir()}  # operators still see how they ended
    with running(tmp_path, Ranks()):  # as a run that joins them
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "heartbeat.json"]


def test_the_event_log_survives_a_clock_that_jumps_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "events.jsonl", rank=3)
    log.attach()
    try:
        note("first", value=1)
        monkeypatch.setattr(time, "time", lambda: 0.0)
        with track("work", total=2, rate="voxels", show=False) as bar:
            bar.advance(2, voxels=10)
        logging.getLogger("lartpc_sparse").warning("event %d skipped", 7)
    finally:
        log.detach()
    note("after the end")
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["first", "progress", "warning"]
    assert all(line["rank"] == 3 for line in lines)
    assert [line["monotonic_s"] for line in lines] == sorted(line["monotonic_s"] for line in lines)
    assert lines[1]["voxels"] == 10
    assert log.ended["work"]["done"] == 2
    assert lines[2]["message"] == "event 7 skipped"


def test_heartbeat(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat.json"
    with Heartbeat(path, lambda: {"of": "train"}, interval_s=0.01):
        first = json.loads(path.read_text())
        until = time.monotonic() + 5
        while json.loads(path.read_text())["beat"] == first["beat"] and time.monotonic() < until:
            time.sleep(0.005)
        second = json.loads(path.read_text())
    assert second["beat"] > first["beat"]
    assert second["of"] == "train"
    assert json.loads(path.read_text())["alive"] is False


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGUSR1])
def test_signals(sign: signal.Signals) -> None:
    before = signal.getsignal(sign)
    with pytest.raises(Stopped, match=sign.name), stopping_at_once():
        signal.raise_signal(sign)
    stop = StopSignals()
    with pytest.raises(Stopped, match=sign.name), stop.noted():
        signal.raise_signal(sign)
    assert stop.name == sign.name
    assert signal.getsignal(sign) == before


def test_ranks_of_the_launchers() -> None:
    assert find_ranks({}) == Ranks()
    batch = {"SLURM_JOB_ID": "5", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}
    assert find_ranks(dict(batch)) == Ranks()  # a batch script without srun
    elastic = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    assert find_ranks(dict(elastic)) == Ranks(3, 4, 1, 2, "torchrun")
    step = {
        **batch,
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NODELIST": "gpu[07-08]",
        "SLURM_STEP_ID": "0",
    }
    environment = dict(step)
    assert find_ranks(environment) == find_ranks(environment) == Ranks(3, 4, 1, 2, "srun")
    assert find_ranks(environment).nodes == 2
    assert environment["MASTER_ADDR"] == "gpu07"
    with pytest.raises(UserError, match="ntasks-per-node"):
        find_ranks({**step, "SLURM_STEP_TASKS_PER_NODE": "3,1"})
    with pytest.raises(UserError, match="the same number of processes"):
        find_ranks({**elastic, "WORLD_SIZE": "3"})


@pytest.mark.parametrize(
    ("nodes", "first"), [("a1", "a1"), ("a1,b2", "a1"), ("gpu[003-007,9],x", "gpu003"), ("n[1,3]-ib", "n1-ib")]
)
def test_first_host(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


def test_shard_text() -> None:
    assert Shard.parse("3/8") == Shard(3, 8)
    for wrong in ("8/8", "3", "a/b", "-1/4"):
        with pytest.raises(UserError, match="--shard"):
            Shard.parse(wrong)


def test_exit_codes_are_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "jobs.md").read_text()
    for code in EXIT_CODES:
        assert f"| {code} |" in text


def test_shards_that_meet_a_left_over_lock_all_begin(tmp_path: Path) -> None:
    with locked(tmp_path / "run.lock", tmp_path / "beat"):
        owner = json.loads((tmp_path / "run.lock").read_text())
    (tmp_path / "run.lock").write_text(json.dumps({**owner, "pid": 2**22 + 1}))
    with running(tmp_path, Ranks(), Shard(0, 2)), running(tmp_path, Ranks(), Shard(1, 2)):
        assert not (tmp_path / "run.lock").exists()


def test_a_job_that_watches_another_lock_shows_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "id": "x"}))
    seen: list[int | None] = []
    watch = partial(refuse_held, sleep=lambda seconds: seen.append(beat_of(tmp_path / "heartbeat.json.0-of-2")))
    monkeypatch.setattr("lartpc_sparse.jobs.job.refuse_held", watch)
    with running(tmp_path, Ranks(), Shard(0, 2)):
        assert seen[0] is not None


@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("auto", None)])
def test_ranks_on_the_cpu_leave_too_few_gpus_alone(
    device: str, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.distributed.init_process_group", lambda backend, **options: begun.append(backend))
    monkeypatch.setattr("torch.distributed.new_group", lambda **options: None)
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)
    launcher = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    if backend is None:
        with pytest.raises(UserError, match="2 ranks on this node, but each sees 1 GPUs"), joined(device, launcher):
            pass
    else:
        with joined(device, launcher) as ranks:
            assert ranks.size == 2
    assert begun == ([] if backend is None else [backend])


def test_figures_of_ranks_of_which_some_did_nothing() -> None:
    ranks = [
        StepFigures(100, 2.0, "voxels", {"host": 5}),
        StepFigures(300, 4.0, "voxels", {"host": 3, "gpu": 7}),
        StepFigures(peak_memory={"host": 9}),
    ]
    found = StepFigures.together(ranks)
    assert found == StepFigures(400, 4.0, "voxels", {"host": 9, "gpu": 7}, ranks=3)
    assert found.record == {"rate": 100.0, "rate_unit": "voxels/s", "peak_memory": {"host": 9, "gpu": 7}}
    nothing = StepFigures.together([StepFigures.of_progress({}, {"host": 2**21})])
    assert (nothing.rate, str(nothing)) == (None, "peak memory host 2 MiB")

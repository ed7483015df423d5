"""The frame of a job: lock, event log, heartbeat and signals, around all its steps."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lartpc_sparse.jobs.errors import OutputError, output_error
from lartpc_sparse.jobs.event_log import EventLog, note
from lartpc_sparse.jobs.heartbeat import Heartbeat
from lartpc_sparse.jobs.lock import locked, refuse_held
from lartpc_sparse.jobs.ranks import Ranks
from lartpc_sparse.jobs.resources import peak_memory_bytes
from lartpc_sparse.jobs.shard import Shard
from lartpc_sparse.jobs.stop import stopping_at_once

__all__ = ["running"]

LOCK, HEARTBEAT, EVENT_LOG = "run.lock", "heartbeat.json", "events.jsonl"


@contextmanager
def running(folder: Path, ranks: Ranks, shard: Shard | None = None) -> Iterator[EventLog]:
    """A job in an output directory, which no other job may use meanwhile; shards of one step share it.

    Raises:
        LockedError: another job is at work there.
        OutputError: nothing can be written there.
    """
    suffix = "" if shard is None else f".{shard}"
    log = EventLog(folder / EVENT_LOG, ranks.rank)
    with ExitStack() as stack:

        def begin() -> None:
            _writable(folder)
            stack.enter_context(locked(folder / (LOCK + suffix), folder / (HEARTBEAT + suffix)))
            # The others may be watched for long; whoever meets this lock meanwhile must see that its owner lives.
            stack.enter_context(Heartbeat(folder / (HEARTBEAT + suffix), lambda: log.progress))
            others = sorted(folder.glob(f"{LOCK}.*-of-*")) if shard is None else [folder / LOCK]
            for lock in others:  # a whole job and the shards of a step exclude one another
                refuse_held(lock, folder / lock.name.replace(LOCK, HEARTBEAT))
            if shard is None:  # no share is at work any more: what their heartbeats said last has been seen
                for beat in folder.glob(f"{HEARTBEAT}.*-of-*"):
                    beat.unlink(missing_ok=True)

        ranks.on_first(begin)
        log.attach()
        stack.callback(log.detach)
        stack.enter_context(stopping_at_once())
        note("job_started", command=sys.argv, ranks=ranks.size, launcher=ranks.launcher, slurm=_slurm())
        try:
            yield log
        except BaseException as error:
            note("job_failed", error=type(error).__name__, message=str(error), peak_memory=peak_memory_bytes())
            raise
        note("job_done", peak_memory=peak_memory_bytes())


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        found = output_error(error)
        raise found or OutputError(f"{folder} cannot be used as run.output_dir: {error}") from error


def _slurm() -> dict[str, Any]:
    names = ("SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_PARTITION", "SLURM_JOB_NODELIST")
    return {name: os.environ[name] for name in names if name in os.environ}

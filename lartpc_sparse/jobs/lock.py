"""One job at a time in an output directory.

The lock is a file with the owner's name in it, not a lock of the file system: those are missing or unreliable on many
cluster file systems, and cannot say who holds them.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lartpc_sparse.jobs.errors import LockedError
from lartpc_sparse.jobs.heartbeat import beat_of

__all__ = ["locked", "refuse_held"]

logger = logging.getLogger("lartpc_sparse")

WATCH_S = 35.0
"""How long the heartbeat of a job on another node is watched before it counts as dead: three beats."""


@contextmanager
def locked(
    path: Path, heartbeat: Path, *, watch_s: float = WATCH_S, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the lock file inside the block.

    A lock is left over, and taken, when its owner was on this host and is gone, when it belongs to this very SLURM job
    (requeued), or when it was on another host and its heartbeat stands still.

    Args:
        path: of the lock.
        heartbeat: file that the owner writes while it lives.
        watch_s: how long to watch the heartbeat of another host, in seconds.
        sleep: waits.

    Raises:
        LockedError: another job holds it; names its host, process and SLURM job.
    """
    own = _own()
    while not _create(path, own):
        refuse_held(path, heartbeat, watch_s=watch_s, sleep=sleep)
    try:
        yield
    finally:
        if _read(path) == own:
            path.unlink(missing_ok=True)


def refuse_held(
    path: Path, heartbeat: Path, *, watch_s: float = WATCH_S, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Make sure that nobody holds the lock file, without taking it; a left-over one is removed. See `locked`.

    Raises:
        LockedError: another job holds it; names its host, process and SLURM job.
    """
    owner = _read(path)
    if owner is None:
        return
    reason = _left_over(owner, _own(), heartbeat, watch_s, sleep)
    if reason is None:
        job = f", SLURM job {owner['job']}" if owner.get("job") else ""
        raise LockedError(
            f"{path.parent} is in use by process {owner.get('pid')} on {owner.get('host')}{job}; wait for it, stop "
            f"it, or choose another run.output_dir. If that process is surely gone, delete {path}"
        )
    _remove(path, owner)
    logger.warning("the lock of an earlier job was left over (%s) and is taken: %s", reason, path)


def _own() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "began": _began(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "task": os.environ.get("SLURM_ARRAY_TASK_ID", ""),
        "restarts": os.environ.get("SLURM_RESTART_COUNT", ""),
        "id": uuid.uuid4().hex,
    }


def _create(path: Path, own: dict[str, Any]) -> bool:
    """Make the lock with its content in one step; False when there is one."""
    draft = path.with_name(f"{path.name}.{own['id']}")
    try:
        draft.write_text(json.dumps(own) + "\n", encoding="utf-8")
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(json.dumps(own) + "\n")
            except FileExistsError:
                return False
        return True
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _remove(path: Path, owner: dict[str, Any]) -> None:
    """Remove the lock of this owner, and no other that took its place meanwhile."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != owner:
        os.link(aside, path)
    aside.unlink()


def _left_over(
    owner: dict[str, Any], own: dict[str, Any], heartbeat: Path, watch_s: float, sleep: Callable[[float], None]
) -> str | None:
    """Why the owner is surely gone; None when it may be alive."""
    if not owner:
        return "it is damaged"
    if owner.get("host") == own["host"]:
        alive = _began(int(owner.get("pid", 0))) == owner.get("began")
        return None if alive else f"process {owner.get('pid')} is gone"
    if own["job"] and (owner.get("job"), owner.get("task")) == (own["job"], own["task"]):
        requeued = owner.get("restarts") != own["restarts"]
        return f"SLURM job {own['job']} was requeued" if requeued else None
    before = beat_of(heartbeat)
    logger.warning("%s holds the lock %s; watching its heartbeat for %.0f s", owner.get("host"), heartbeat, watch_s)
    sleep(watch_s)
    now = beat_of(heartbeat)
    if now is not None and now != before:  # also when there was no heartbeat yet: its owner has just begun
        return None
    return f"the heartbeat of {owner.get('host')} stands still"


def _began(pid: int) -> int | None:
    """When a process began, in ticks since the start of the machine; None when there is none of that number."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])

"""Memory that this process can still take, and a limit on it, so that too much ends in an error and not in a kill."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

__all__ = ["free_memory_bytes", "memory_limited"]

_NAMES = {  # of a control group: limit, use, and page cache in memory.stat that the kernel gives back
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> dict[str, int]:
    """Free memory of the machine (`host`), or of the process's control group if less, and of the GPU (`gpu`).

    `host` is missing where the system does not say it (no Linux), `gpu` where there is none.
    """
    free: dict[str, int] = {}
    try:
        table = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
        free["host"] = int(table["MemAvailable"].split()[0]) * 1024
        free["host"] = max(min([free["host"], *_left_in_groups(proc, groups)]), 0)
    except (OSError, KeyError):
        free.pop("host", None)
    if torch.cuda.is_available():
        free["gpu"] = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return free


def _left_in_groups(proc: Path, groups: Path) -> list[int]:
    """What the control groups of this process (version 1 or 2) and those above them leave; SLURM sets such limits."""
    found: list[int] = []
    for line in (proc / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in _NAMES:
            continue
        limit, used, cache = _NAMES[controllers]
        top = groups / controllers
        inner = top / path.lstrip("/")
        for folder in (inner, *inner.parents):
            if not folder.is_relative_to(top):
                break
            try:
                most, now = (folder / limit).read_text().strip(), int((folder / used).read_text())
                stat = dict(entry.split() for entry in (folder / "memory.stat").read_text().splitlines())
            except OSError:
                continue  # a group of another name inside a container, or the root, which has no limit
            if most != "max":
                found.append(int(most) - now + int(stat.get(cache, 0)))
    return found


@contextmanager
def memory_limited(more: int | None) -> Iterator[None]:
    """Inside the block, allocations of the host fail (MemoryError, RuntimeError of torch) beyond `more` further bytes.

    Linux would give the memory, and kill the process when it is written to. None, or a system without /proc: no limit.
    """
    held = _data_bytes()
    if more is None or held is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [held + more, *(value for value in (soft, hard) if value != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """What counts for RLIMIT_DATA: private memory that can be written."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = (line.split() for line in status.read_text().splitlines())
    return next(int(words[1]) * 1024 for words in lines if words[0] == "VmData:")

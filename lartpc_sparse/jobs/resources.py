"""What a process has used."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

__all__ = ["forget_peak_memory", "memory_bytes", "peak_memory_bytes"]

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> dict[str, int]:
    """Most memory that this process has held: of the machine (`host`) and, where there is one, of the GPU (`gpu`)."""
    peaks = {"host": _host()}
    if torch.cuda.is_available():
        peaks["gpu"] = torch.cuda.max_memory_allocated()
    return peaks


def memory_bytes() -> dict[str, int]:
    """Memory that this process holds now, of the `host` (0: the system does not say) and of the `gpu`."""
    held = {"host": _status("VmRSS")}
    if torch.cuda.is_available():
        held["gpu"] = torch.cuda.memory_allocated()
    return held


def forget_peak_memory() -> None:
    """Let `peak_memory_bytes` begin anew from what is held now, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _host() -> int:
    # Not `getrusage` where it can be helped: what that gives after a fork and exec includes the parent's.
    if (peak := _status("VmHWM")) > 0:
        return peak
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024


def _status(name: str) -> int:
    """Bytes of an entry of the kernel's record of this process; 0 where there is none."""
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)

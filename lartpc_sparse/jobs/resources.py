"""What a process has used."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

__all__ = ["peak_memory_bytes"]

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> dict[str, int]:
    """Most memory that this process has held: of the machine (`host`) and, where there is one, of the GPU (`gpu`)."""
    peaks = {"host": _host()}
    if torch.cuda.is_available():
        peaks["gpu"] = torch.cuda.max_memory_allocated()
    return peaks


def _host() -> int:
    # Not `getrusage` where it can be helped: what that gives after a fork and exec includes the parent's.
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024

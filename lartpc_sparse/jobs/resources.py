"""What a process has used."""

from __future__ import annotations

import resource

import torch

__all__ = ["peak_memory_bytes"]


def peak_memory_bytes() -> dict[str, int]:
    """Most memory that this process has held: of the machine (`host`) and, where there is one, of the GPU (`gpu`)."""
    peaks = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if torch.cuda.is_available():
        peaks["gpu"] = torch.cuda.max_memory_allocated()
    return peaks

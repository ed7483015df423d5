"""Whether the Triton engine can run on a device, and what to do where it cannot."""

from __future__ import annotations

import functools
import importlib.util
import os

import torch

__all__ = ["interpreting", "reason_unavailable"]

LOWEST_CAPABILITY = (8, 0)
"""Below it Triton emits no tensor-core instruction, so cuBLAS is faster."""


def interpreting() -> bool:
    """Whether Triton is told to interpret its kernels on the CPU instead of compiling them: for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def reason_unavailable(device: torch.device | str) -> str | None:
    """Why the engine cannot run on `device` and what to install or use instead; None where it can."""
    device = torch.device(device)
    if not _has_triton():
        return (
            "the Triton engine needs Triton, which is not installed: install the CUDA build of PyTorch, which brings "
            'it, or "lartpc-sparse[triton]"; the torch engine runs without'
        )
    if device.type == "cpu":
        return None if interpreting() else "the Triton engine needs a CUDA device, not the CPU: use another engine"
    if device.type != "cuda":
        return f"the Triton engine needs a CUDA device, not {device.type}: use the torch engine"
    return _reason_of_cuda(device)


@functools.cache
def _has_triton() -> bool:
    # Kept: every convolution asks, and a search of the import path takes longer than its launch.
    return importlib.util.find_spec("triton") is not None


def _reason_of_cuda(device: torch.device) -> str | None:
    if torch.version.cuda is None or not torch.cuda.is_available():
        return "the Triton engine needs a CUDA device and this PyTorch finds none: check nvidia-smi and the CUDA build"
    capability = torch.cuda.get_device_capability(device)
    if capability < LOWEST_CAPABILITY:
        return (
            f"the Triton engine needs compute capability 8.0, {torch.cuda.get_device_name(device)} has "
            f"{capability[0]}.{capability[1]}: use the torch engine with fp16, whose cuBLAS reaches its tensor cores"
        )
    return None

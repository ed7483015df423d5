"""Engines by name, and which of them `auto` takes on a device.

| device                          | `auto`   | otherwise                                           |
|---------------------------------|----------|-----------------------------------------------------|
| CPU                             | `cpu`    | `torch` where the C++ kernels were not built        |
| CUDA, compute capability >= 8.0 | `triton` | `torch` where Triton is missing                     |
| CUDA, older (V100, T4)          | `torch`  | Triton would not reach their tensor cores           |

An engine's module is imported when the engine is asked for: Triton and MinkowskiEngine are optional and slow to load.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse.engines.base import Engine
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine

__all__ = ["EngineChoice", "EngineName", "choose_engine", "emulates_bf16"]

EngineName = Literal["auto", "cpu", "triton", "torch", "minkowski", "dense"]
"""What a chain may write."""

_HERE = "lartpc_sparse.sparse.engines"
_OPTIONAL: Mapping[str, tuple[str, str]] = {
    "cpu": (f"{_HERE}.cpu_engine", "CpuEngine"),
    "triton": (f"{_HERE}.triton_engine", "TritonEngine"),
    "minkowski": (f"{_HERE}.minkowski_engine", "MinkowskiEngine"),
    "dense": (f"{_HERE}.dense_engine", "DenseEngine"),
}


@dataclass(frozen=True)
class EngineChoice:
    """An engine that can run on the device it was chosen for.

    Attributes:
        engine: the engine.
        reason: one line for people: which engine, and what it is or why it is not the first choice.
    """

    engine: Engine
    reason: str


def choose_engine(name: EngineName, device: torch.device | str) -> EngineChoice:
    """The engine called `name`, or the fastest one that can run on `device`.

    Raises:
        UserError: the named engine cannot run there, with the cure; or the environment asks the C++ kernels for an
            instruction set that they do not have here.
    """
    device = torch.device(device)
    if name == "auto":
        return _on_cuda(device) if device.type == "cuda" else _fastest("cpu", device)
    if name == "torch":
        return _torch("gather, GEMM and scatter in PyTorch")
    reason = _reason_unavailable(name, device)
    if reason is not None:
        raise UserError(f"engine {name} cannot run here: {reason}; engine: auto takes one that can")
    return _optional(name, device)


def emulates_bf16(engine: Engine) -> bool:
    """Whether bfloat16 products are emulated in float32 arithmetic on this processor: correct, but not faster."""
    return engine.name == "cpu" and _instruction_set() != "avx512_bf16"


def _on_cuda(device: torch.device) -> EngineChoice:
    from lartpc_sparse.sparse.engines.triton_engine.availability import LOWEST_CAPABILITY

    capability = torch.cuda.get_device_capability(device)
    if capability >= LOWEST_CAPABILITY:
        return _fastest("triton", device)
    return _torch(
        f"{torch.cuda.get_device_name(device)} has compute capability {capability[0]}.{capability[1]}, below the "
        f"{LOWEST_CAPABILITY[0]}.{LOWEST_CAPABILITY[1]} of the triton engine; kernel maps on the device and cuBLAS, "
        "whose tensor cores need precision: 16"
    )


def _fastest(name: str, device: torch.device) -> EngineChoice:
    """The engine called `name` where it can run, else the torch engine, which runs everywhere."""
    reason = _reason_unavailable(name, device)
    return _optional(name, device) if reason is None else _torch(f"instead of {name}: {reason}")


def _torch(reason: str) -> EngineChoice:
    return EngineChoice(TorchEngine(), f"engine torch: {reason}")


def _optional(name: str, device: torch.device) -> EngineChoice:
    module, class_ = _OPTIONAL[name]
    engine: Engine = getattr(importlib.import_module(module), class_)()
    return EngineChoice(engine, f"engine {name}: {_what_it_is(name, device)}")


def _reason_unavailable(name: str, device: torch.device) -> str | None:
    reason: str | None = importlib.import_module(_OPTIONAL[name][0]).reason_unavailable(device)
    return reason


def _what_it_is(name: str, device: torch.device) -> str:
    if name == "cpu":
        return f"C++ kernels, {_instruction_set()}"
    if name == "triton":
        return f"Triton kernels on {torch.cuda.get_device_name(device) if device.type == 'cuda' else device}"
    if name == "dense":
        return "torch's dense convolutions, for images that are nearly full"
    return "the MinkowskiEngine package, for comparison"


def _instruction_set() -> str:
    from lartpc_sparse.sparse.native.library import library

    try:
        return str(library().isa().decode())
    except RuntimeError as error:  # LARTPC_SPARSE_ISA
        raise UserError(str(error)) from error

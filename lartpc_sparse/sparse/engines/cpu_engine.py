"""The CPU engine: maps and convolutions in C++ (native/src), for AVX-512, AVX2, NEON or any processor.

Forward results do not depend on the number of threads, bit for bit; neither do gradients. Sums are taken in
float32 (float64 for float64); bfloat16 features and weights are multiplied as they are and summed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.differentiable import differentiable
from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.kernel_map import KernelMap, check_reach, check_submanifold
from lartpc_sparse.sparse.level import Level
from lartpc_sparse.sparse.native import functions
from lartpc_sparse.sparse.native.handles import BlockedMap, sorted_level
from lartpc_sparse.sparse.native.kernels import (
    PreparedConvolution,
)
from lartpc_sparse.sparse.native.library import missing_reason
from lartpc_sparse.sparse.normalisation import Normalised

__all__ = ["CpuEngine", "reason_unavailable"]


def reason_unavailable(device: torch.device | str) -> str | None:
    """Why the engine cannot run on a device, and the cure; None when it can."""
    if torch.device(device).type != "cpu":
        return f"the cpu engine runs on the CPU, not on {device}; use engine: triton or torch there"
    return missing_reason()


@dataclass(frozen=True)
class CpuEngine:
    """C++ implementation of `Engine` for CPU tensors."""

    name: str = "cpu"

    def duplicates(self, level: Level) -> tuple[int, int]:
        """See `Engine.duplicates`."""
        return sorted_level(level).duplicates()

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """See `Engine.coarsen`."""
        return sorted_level(level).coarsen(level, step)

    def submanifold_map(self, level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
        """See `Engine.submanifold_map`."""
        check_submanifold(kernel_size)
        return BlockedMap.submanifold(level, kernel_size, torch.get_num_threads())

    def strided_map(self, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """See `Engine.strided_map`."""
        check_reach(kernel_size, step)
        return BlockedMap.strided(fine, coarse, kernel_size, step, torch.get_num_threads())

    def convolve(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `Engine.convolve`."""
        return differentiable(functions.PASSES, feats, weight, kernel_map)

    def prepare(
        self,
        weights: Sequence[Float[Tensor, "... _ C_out"]],
        epilogues: Sequence[Epilogue],
        bias: Float[Tensor, " C_out"] | None,
        dtype: torch.dtype,
    ) -> PreparedConvolution:
        """See `FusingEngine.prepare`."""
        return PreparedConvolution(weights, epilogues, bias, dtype)

    def batch_norm(
        self,
        feats: Float[Tensor, "N C"],
        weight: Float[Tensor, " C"],
        bias: Float[Tensor, " C"],
        eps: float,
        slope: float,
    ) -> Normalised:
        """See `NormalisingEngine.batch_norm`."""
        return functions.batch_norm(feats, weight, bias, eps, slope)

    def convolve_onto(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
        shortcut: Float[Tensor, "num_out C_short"],
        shortcut_weight: Float[Tensor, "C_short C_out"] | None,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `ResidualEngine.convolve_onto`."""
        return functions.convolve_onto(feats, weight, kernel_map, shortcut, shortcut_weight)

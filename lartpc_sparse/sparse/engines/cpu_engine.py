"""The CPU engine: maps and convolutions in C++ (native/src), for AVX-512, AVX2, NEON or any processor.

Forward results do not depend on the number of threads, bit for bit; neither do gradients. Sums are taken in
float32 (float64 for float64); bfloat16 features and weights are multiplied as they are and summed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.differentiable import differentiable
from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.kernel_map import KernelMap, check_reach, check_submanifold
from lartpc_sparse.sparse.level import Level
from lartpc_sparse.sparse.native.handles import BlockedMap, sorted_level
from lartpc_sparse.sparse.native.kernels import (
    PreparedConvolution,
    convolve,
    transpose_weight,
    weight_gradient,
)
from lartpc_sparse.sparse.native.library import missing_reason
from lartpc_sparse.sparse.native.norms import moments, normalise, normalise_gradient
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
        return differentiable(_PASSES, feats, weight, kernel_map)

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
        return Normalised(*_BatchNorm.apply(feats, weight, bias, eps, slope))  # type: ignore[no-untyped-call]


class _Passes:
    """`ConvolutionPasses` in C++."""

    def forward(self, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        return convolve(feats, weight, kernel_map)

    def data_gradient(self, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        return convolve(grad, transpose_weight(weight), kernel_map.transposed)

    def weight_gradient(self, feats: Tensor, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        del weight
        return weight_gradient(feats, grad, kernel_map)


_PASSES = _Passes()


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917  autograd passes by position
        ctx: Any, feats: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = moments(feats)
        rstd = torch.rsqrt(variance + eps)
        scale = weight.detach().double() * rstd
        factors = torch.stack([scale, bias.detach().double() - mean * scale, mean, rstd])
        ctx.save_for_backward(feats, factors)
        ctx.slope = slope
        mean, variance = mean.to(feats.dtype), variance.to(feats.dtype)
        ctx.mark_non_differentiable(mean, variance)
        return normalise(feats, factors[0], factors[1], slope), mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        feats, factors = ctx.saved_tensors
        by_feats, by_weight, by_bias = normalise_gradient(feats, grad, factors, ctx.slope)
        return by_feats, by_weight.to(feats.dtype), by_bias.to(feats.dtype), None, None

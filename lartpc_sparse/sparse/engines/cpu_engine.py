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
        result: Tensor = _Convolution.apply(feats, weight, kernel_map)  # type: ignore[no-untyped-call]
        return result

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


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(feats, weight)
        ctx.kernel_map = kernel_map
        return convolve(feats, weight, kernel_map)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        feats, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad_feats = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_feats = convolve(grad_out, transpose_weight(weight), kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = weight_gradient(feats, grad_out, kernel_map)
        return grad_feats, grad_weight, None


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

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

    def convolve_onto(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
        shortcut: Float[Tensor, "num_out C_short"],
        shortcut_weight: Float[Tensor, "C_short C_out"] | None,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `ResidualEngine.convolve_onto`."""
        result: Tensor = _ConvolutionOnto.apply(  # type: ignore[no-untyped-call]
            feats, weight, kernel_map, shortcut, shortcut_weight
        )
        return result


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


class _ConvolutionOnto(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917  autograd passes by position
        ctx: Any,
        feats: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        shortcut: Tensor,
        shortcut_weight: Tensor | None,
    ) -> Tensor:
        ctx.kernel_map = kernel_map
        if shortcut_weight is None:
            ctx.save_for_backward(feats, weight)
            prepared = PreparedConvolution([weight], [Epilogue()], None, feats.dtype)
            return prepared([feats], [kernel_map], kernel_map.num_out, shortcut)[0]
        ctx.save_for_backward(feats, weight, shortcut, shortcut_weight)
        prepared = PreparedConvolution([weight, shortcut_weight], [Epilogue()], None, feats.dtype)
        return prepared([feats, shortcut], [kernel_map, None], kernel_map.num_out)[0]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        feats, weight, *others = ctx.saved_tensors
        feats_wanted, weight_wanted, _, shortcut_wanted, shortcut_weight_wanted = ctx.needs_input_grad
        by_shortcut, by_shortcut_weight = grad if shortcut_wanted else None, None
        if others:
            shortcut, shortcut_weight = others
            if shortcut_wanted:
                back = PreparedConvolution([shortcut_weight.T], [Epilogue()], None, grad.dtype)
                by_shortcut = back([grad], [None], len(grad))[0]
            if shortcut_weight_wanted:
                by_shortcut_weight = weight_gradient(shortcut, grad, None)[0]
        return (
            _PASSES.data_gradient(grad, weight, ctx.kernel_map) if feats_wanted else None,
            _PASSES.weight_gradient(feats, grad, weight, ctx.kernel_map) if weight_wanted else None,
            None,
            by_shortcut,
            by_shortcut_weight,
        )


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917  autograd passes by position
        ctx: Any, feats: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        mean, variance = moments(feats)
        rstd = torch.rsqrt(variance + eps)
        scale = weight.detach().double() * rstd
        factors = torch.stack([scale, bias.detach().double() - mean * scale, mean, rstd])
        ctx.save_for_backward(feats, factors)
        ctx.slope = slope
        mean, variance = mean.to(feats.dtype), variance.to(feats.dtype)
        # With features that need no gradient, nor does what passes around: one call, a second would replace the first.
        ctx.mark_non_differentiable(mean, variance, *([] if ctx.needs_input_grad[0] else [feats]))
        return normalise(feats, factors[0], factors[1], slope), mean, variance, feats

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *others: Tensor | None) -> tuple[Tensor | None, ...]:
        feats, factors = ctx.saved_tensors
        passed = others[-1]
        if grad is None:
            return passed, None, None, None, None
        by_feats, by_weight, by_bias = normalise_gradient(feats, grad, factors, ctx.slope, passed)
        return by_feats, by_weight.to(feats.dtype), by_bias.to(feats.dtype), None, None

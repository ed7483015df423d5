"""Passes of the CPU engine with their gradients, for torch: convolution, convolution onto a shortcut, batch norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.native.kernels import (
    PreparedConvolution,
    convolve,
    transpose_weight,
    weight_gradient,
)
from lartpc_sparse.sparse.native.norms import moments, normalise, normalise_gradient
from lartpc_sparse.sparse.normalisation import Normalised

__all__ = ["PASSES", "batch_norm", "convolve_onto"]


class _Passes:
    """`ConvolutionPasses` in C++."""

    def forward(self, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        return convolve(feats, weight, kernel_map)

    def data_gradient(self, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        return convolve(grad, transpose_weight(weight), kernel_map.transposed)

    def weight_gradient(self, feats: Tensor, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        del weight
        return weight_gradient(feats, grad, kernel_map)


PASSES = _Passes()


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
            PASSES.data_gradient(grad, weight, ctx.kernel_map) if feats_wanted else None,
            PASSES.weight_gradient(feats, grad, weight, ctx.kernel_map) if weight_wanted else None,
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
        ctx.parameters = weight.dtype
        mean, variance = mean.to(weight.dtype), variance.to(weight.dtype)
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
        return by_feats, by_weight.to(ctx.parameters), by_bias.to(ctx.parameters), None, None


def convolve_onto(
    feats: Tensor, weight: Tensor, kernel_map: KernelMap, shortcut: Tensor, shortcut_weight: Tensor | None
) -> Tensor:
    """See `ResidualEngine.convolve_onto`."""
    result: Tensor = _ConvolutionOnto.apply(  # type: ignore[no-untyped-call]
        feats, weight, kernel_map, shortcut, shortcut_weight
    )
    return result


def batch_norm(feats: Tensor, weight: Tensor, bias: Tensor, eps: float, slope: float) -> Normalised:
    """See `NormalisingEngine.batch_norm`."""
    return Normalised(*_BatchNorm.apply(feats, weight, bias, eps, slope))  # type: ignore[no-untyped-call]

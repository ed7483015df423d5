"""A convolution and its two gradients, as three plain functions, made one differentiable function of torch."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["ConvolutionPasses", "differentiable"]


@runtime_checkable
class ConvolutionPasses(Protocol):
    """The three passes of a convolution, as an engine computes them."""

    def forward(
        self, feats: Float[Tensor, "num_in C_in"], weight: Float[Tensor, "K C_in C_out"], kernel_map: KernelMap
    ) -> Float[Tensor, "num_out C_out"]:
        """out[q] = sum over pairs (p, q, k) of feats[p] @ weight[k]."""

    def data_gradient(
        self, grad: Float[Tensor, "num_out C_out"], weight: Float[Tensor, "K C_in C_out"], kernel_map: KernelMap
    ) -> Float[Tensor, "num_in C_in"]:
        """Gradient of the features."""

    def weight_gradient(
        self,
        feats: Float[Tensor, "num_in C_in"],
        grad: Float[Tensor, "num_out C_out"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "K C_in C_out"]:
        """Gradient of the weight, which gives shape and format."""


def differentiable(
    passes: ConvolutionPasses,
    feats: Float[Tensor, "num_in C_in"],
    weight: Float[Tensor, "K C_in C_out"],
    kernel_map: KernelMap,
) -> Float[Tensor, "num_out C_out"]:
    """The forward pass, differentiable once in feats and weight; only the gradients that are needed are computed."""
    result: Tensor = _Convolution.apply(passes, feats, weight, kernel_map)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, passes: ConvolutionPasses, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(feats, weight)
        ctx.passes, ctx.kernel_map = passes, kernel_map
        return passes.forward(feats, weight, kernel_map)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None, None]:
        feats, weight = ctx.saved_tensors
        _, feats_wanted, weight_wanted, _ = ctx.needs_input_grad
        return (
            None,
            ctx.passes.data_gradient(grad, weight, ctx.kernel_map) if feats_wanted else None,
            ctx.passes.weight_gradient(feats, grad, weight, ctx.kernel_map) if weight_wanted else None,
            None,
        )

"""The convolution of the Triton engine as a differentiable function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lartpc_sparse.sparse.engines.triton_engine.gather_table import GatherTable, gradient_table
from lartpc_sparse.sparse.engines.triton_engine.launch import gather_gemm, weight_gradient
from lartpc_sparse.sparse.engines.triton_engine.tuning import Tuner
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["Arithmetic", "convolve"]


@dataclass(frozen=True)
class Arithmetic:
    """How products are computed: "ieee" or "tf32" for float32, and who chooses the tiles."""

    precision: str
    tuner: Tuner


def convolve(feats: Tensor, weight: Tensor, kernel_map: KernelMap, arithmetic: Arithmetic) -> Tensor:
    """out[q] = sum over pairs (p, q, k) of feats[p] @ weight[k]; differentiable once in feats and weight."""
    result: Tensor = _Convolution.apply(feats, weight, kernel_map, arithmetic)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, weight: Tensor, kernel_map: KernelMap, arithmetic: Arithmetic) -> Tensor:
        feats = feats.contiguous()
        ctx.save_for_backward(feats, weight)
        ctx.kernel_map, ctx.arithmetic = kernel_map, arithmetic
        if _is_empty(kernel_map):
            return feats.new_zeros((kernel_map.num_out, weight.shape[2]))
        out = gather_gemm(
            feats,
            weight,
            GatherTable.of(kernel_map),
            kernel_map.num_out,
            mirrored=False,
            name="forward",
            precision=arithmetic.precision,
            tuner=arithmetic.tuner,
        )
        return out.to(feats.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        feats, weight = ctx.saved_tensors
        grad_out = grad_out.contiguous()
        grad_feats = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_feats = _data_gradient(grad_out, weight, ctx.kernel_map, ctx.arithmetic)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(feats, grad_out, weight, ctx.kernel_map, ctx.arithmetic)
        return grad_feats, grad_weight, None, None


def _data_gradient(grad_out: Tensor, weight: Tensor, kernel_map: KernelMap, arithmetic: Arithmetic) -> Tensor:
    """The forward kernel on the map read backwards, with the transposed weight."""
    if _is_empty(kernel_map):
        return grad_out.new_zeros((kernel_map.num_in, weight.shape[1]))
    table, mirrored = gradient_table(kernel_map)
    grad_feats = gather_gemm(
        grad_out,
        weight.transpose(1, 2),
        table,
        kernel_map.num_in,
        mirrored=mirrored,
        name="data gradient",
        precision=arithmetic.precision,
        tuner=arithmetic.tuner,
    )
    return grad_feats.to(grad_out.dtype)


def _weight_gradient(
    feats: Tensor, grad_out: Tensor, weight: Tensor, kernel_map: KernelMap, arithmetic: Arithmetic
) -> Tensor:
    if _is_empty(kernel_map):
        return torch.zeros_like(weight)
    grad = weight_gradient(feats, grad_out, kernel_map, precision=arithmetic.precision, tuner=arithmetic.tuner)
    return grad.to(weight.dtype)


def _is_empty(kernel_map: KernelMap) -> bool:
    # A grid of no programs cannot be launched.
    return len(kernel_map.in_index) == 0

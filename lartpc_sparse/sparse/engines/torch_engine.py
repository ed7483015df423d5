"""The reference engine: gather, GEMM, scatter in plain torch, on any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.coordinates import pack, unpack
from lartpc_sparse.sparse.kernel_map import KernelMap, strided_map, submanifold_map
from lartpc_sparse.sparse.level import Level

__all__ = ["TorchEngine"]


@dataclass(frozen=True)
class TorchEngine:
    """Reference implementation of `Engine`; results do not depend on the number of threads."""

    name: str = "torch"

    def duplicates(self, level: Level) -> tuple[int, int]:
        """See `Engine.duplicates`."""
        return level.duplicates()

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """See `Engine.coarsen`."""
        steps = torch.tensor(step, dtype=torch.int32, device=level.coords.device)
        coords = torch.div(level.coords, steps, rounding_mode="floor")
        keys = torch.unique(pack(coords, level.batch_index), sorted=True)
        coarse, event = unpack(keys, level.dim)
        counts = torch.bincount(event, minlength=level.num_events)
        return Level(
            coarse,
            F.pad(counts.cumsum(0), (1, 0)),
            tuple(have * more for have, more in zip(level.stride, step, strict=True)),
        )

    def submanifold_map(self, level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
        """See `Engine.submanifold_map`."""
        return submanifold_map(level, kernel_size)

    def strided_map(self, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """See `Engine.strided_map`."""
        return strided_map(fine, coarse, kernel_size, step)

    def convolve(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `Engine.convolve`."""
        result: Tensor = _Convolution.apply(feats, weight, kernel_map)  # type: ignore[no-untyped-call]
        return result


def _apply(
    feats: Float[Tensor, "num_in C_in"], weight: Float[Tensor, "K C_in C_out"], kernel_map: KernelMap
) -> Float[Tensor, "num_out C_out"]:
    """Gather and multiply slot by slot, then sum the products of each output row in a fixed order.

    The sum is an embedding bag over the products: one pass, parallel over rows, and no atomics.
    """
    if kernel_map.num_out == 0:
        return feats.new_zeros((0, weight.shape[2]))
    products = feats.new_empty((len(kernel_map.in_index), weight.shape[2]))
    for k, pairs in kernel_map.slots():
        rows = feats if k == kernel_map.identity_slot else feats.index_select(0, kernel_map.in_index[pairs])
        torch.mm(rows, weight[k], out=products[pairs])
    order, starts = kernel_map.pairs_by_output
    return F.embedding_bag(order, products, starts, mode="sum")


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.save_for_backward(feats, weight)
        ctx.kernel_map = kernel_map
        return _apply(feats, weight, kernel_map)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        feats, weight = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad_out = grad_out.contiguous()
        grad_feats = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_feats = _apply(grad_out, weight.transpose(1, 2), kernel_map.transposed)
        if ctx.needs_input_grad[1]:
            grad_weight = torch.zeros_like(weight)
            for k, pairs in kernel_map.slots():
                same = k == kernel_map.identity_slot
                rows = feats if same else feats.index_select(0, kernel_map.in_index[pairs])
                grads = grad_out if same else grad_out.index_select(0, kernel_map.out_index[pairs])
                torch.mm(rows.T, grads, out=grad_weight[k])
        return grad_feats, grad_weight, None

"""The reference engine: gather, GEMM, scatter in plain torch, on any device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.coordinates import pack, unpack
from lartpc_sparse.sparse.differentiable import differentiable
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
        return differentiable(_PASSES, feats, weight, kernel_map)


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


class _Passes:
    """`ConvolutionPasses` in plain torch."""

    def forward(self, feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        return _apply(feats, weight, kernel_map)

    def data_gradient(self, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        return _apply(grad.contiguous(), weight.transpose(1, 2), kernel_map.transposed)

    def weight_gradient(self, feats: Tensor, grad: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        grad, result = grad.contiguous(), torch.zeros_like(weight)
        for k, pairs in kernel_map.slots():
            same = k == kernel_map.identity_slot
            rows = feats if same else feats.index_select(0, kernel_map.in_index[pairs])
            grads = grad if same else grad.index_select(0, kernel_map.out_index[pairs])
            torch.mm(rows.T, grads, out=result[k])
        return result


_PASSES = _Passes()

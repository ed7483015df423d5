"""Depthwise convolutions (a kernel for every channel) and interpolation onto finer voxels."""

from __future__ import annotations

import itertools
import math
from typing import Protocol, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lartpc_sparse.sparse.engines.base import Engine, offers
from lartpc_sparse.sparse.kernel import kernel_volume, per_axis
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.tensor import SparseTensor

__all__ = ["DepthwiseConv", "DepthwiseEngine", "depthwise_conv", "interpolate_up"]


class DepthwiseEngine(Engine, Protocol):
    """An engine with a depthwise convolution of its own."""

    def depthwise(
        self, feats: Float[Tensor, "num_in C"], weight: Float[Tensor, "K C"], kernel_map: KernelMap
    ) -> Float[Tensor, "num_out C"] | None:
        """out[q, c] = sum over pairs (p, q, k) of feats[p, c] weight[k, c]; None: not on this map."""


def _is_depthwise(engine: Engine) -> TypeGuard[DepthwiseEngine]:
    return offers(engine, "depthwise")


def _apply(x: SparseTensor, weight: Float[Tensor, "K C"], kernel_map: KernelMap) -> Tensor:
    engine = x.plan.engine
    found = engine.depthwise(x.feats, weight, kernel_map) if _is_depthwise(engine) else None
    if found is not None:
        return found
    # Pairs slot by slot: no output row occurs twice in a slot, so that the sums have a fixed order.
    result = x.feats.new_zeros((kernel_map.num_out, x.feats.shape[1]))
    for slot, pairs in kernel_map.slots():
        rows = x.feats.index_select(0, kernel_map.in_index[pairs]) * weight[slot]
        result = result.index_add(0, kernel_map.out_index[pairs], rows)
    return result


def depthwise_conv(x: SparseTensor, weight: Float[Tensor, "K C"], kernel_size: tuple[int, ...]) -> SparseTensor:
    """Submanifold convolution of every channel with a kernel of its own.

    Raises:
        ValueError: even kernel size, or a weight that does not fit kernel and features.
    """
    if weight.shape != (kernel_volume(kernel_size), x.feats.shape[1]):
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} (K, C) does not fit a kernel of {kernel_volume(kernel_size)} slots "
            f"on {x.feats.shape[1]} features"
        )
    return x.replace(_apply(x, weight, x.plan.submanifold_map(x.stride, kernel_size)))


class DepthwiseConv(nn.Module):
    """`depthwise_conv` with its weight (K, C)."""

    def __init__(self, channels: int, kernel_size: int, *, dim: int) -> None:
        super().__init__()
        self.kernel_size = per_axis(kernel_size, dim, "kernel_size")
        volume = kernel_volume(self.kernel_size)
        self.weight = nn.Parameter(torch.empty(volume, channels))
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / volume))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same voxels, same number of features."""
        return depthwise_conv(x, self.weight, self.kernel_size)


def interpolate_up(x: SparseTensor) -> SparseTensor:
    """Features on the voxels twice as fine, linear along each axis (bilinear in 2D); voxel centres are what is aligned.

    A fine voxel takes 3/4 of its parent and 1/4 of the parent's neighbour on its side, axis by axis. Neighbours that
    are not there are left out and the weights scaled to 1; at the border of a full image that is torch's
    `interpolate(mode="bilinear", align_corners=False)`.

    Raises:
        ValueError: a stride that is not a multiple of 2.
        KeyError: the plan has no level of the finer stride.
    """
    if any(stride % 2 for stride in x.stride):
        raise ValueError(f"cannot go up by 2 from stride {x.stride}")
    plan, dim = x.plan, x.dim
    fine = tuple(stride // 2 for stride in x.stride)
    to_coarse = plan.strided_map(fine, (2,) * dim, (2,) * dim)
    around = plan.submanifold_map(x.stride, (3,) * dim)
    ones = x.replace(torch.ones_like(x.feats[:, :1]))
    result = x.feats.new_zeros((len(plan.level(fine)), x.feats.shape[1]))
    for slot, pairs in to_coarse.slots():
        kernel = _kernel(slot, dim, x.feats)
        values = _apply(x, kernel.expand(-1, x.feats.shape[1]), around)
        norm = _apply(ones, kernel, around)
        parents = to_coarse.out_index[pairs]
        result = result.index_add(0, to_coarse.in_index[pairs], (values / norm).index_select(0, parents))
    return SparseTensor(result, plan, fine)


def _kernel(slot: int, dim: int, like: Tensor) -> Float[Tensor, "K 1"]:
    """Weights of the 3^D voxels around a parent for its child number `slot` of 2^D."""
    sides = [(0.25, 0.75, 0.0), (0.0, 0.75, 0.25)]
    child = [(slot >> (dim - 1 - axis)) & 1 for axis in range(dim)]
    weights = [math.prod(row) for row in itertools.product(*(sides[bit] for bit in child))]
    return torch.tensor(weights, dtype=like.dtype, device=like.device)[:, None]

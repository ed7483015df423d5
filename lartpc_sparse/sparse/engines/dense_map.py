"""Kernel maps between dense grids: where one grid lies in the other; pairs only when somebody asks for them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from lartpc_sparse.sparse.engines.dense_grid import Grid
from lartpc_sparse.sparse.kernel import axis_offsets, kernel_volume
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["DenseMap"]

_CONVOLVE: tuple[Callable[..., Tensor], ...] = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSE: tuple[Callable[..., Tensor], ...] = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)


class DenseMap(KernelMap):
    """out[q] = sum_k W_k in[step q + offset_k], or its transpose, between two grids.

    Attributes:
        fine, coarse: the grids; the same of a submanifold convolution.
        kernel_size, step: along each axis.
        backwards: from coarse to fine.
    """

    fine: Grid
    coarse: Grid
    kernel_size: tuple[int, ...]
    step: tuple[int, ...]
    backwards: bool

    def __init__(
        self,
        grids: tuple[Grid, Grid],
        sizes: tuple[int, int],
        kernel_size: tuple[int, ...],
        step: tuple[int, ...],
        pairs: Callable[[], KernelMap],
        *,
        backwards: bool = False,
        original: DenseMap | None = None,
    ) -> None:
        same = max(step) == 1
        values: dict[str, Any] = {
            "fine": grids[0],
            "coarse": grids[1],
            "kernel_size": kernel_size,
            "step": step,
            "backwards": backwards,
            "num_in": sizes[1] if backwards else sizes[0],
            "num_out": sizes[0] if backwards else sizes[1],
            "identity_slot": kernel_volume(kernel_size) // 2 if same else None,
            "_sizes": sizes,
            "_make_pairs": pairs,
            "_original": None if original is None else weakref.ref(original),
            "_derived": {},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def kernel_volume(self) -> int:
        """Number of slots K."""
        return kernel_volume(self.kernel_size)

    @cached_property
    def pairs(self) -> KernelMap:
        """The map as pairs."""
        made: KernelMap = self.__dict__["_make_pairs"]()
        return made.transposed if self.backwards else made

    @property
    def slot_starts(self) -> tuple[int, ...]:
        """Where the pairs of each slot begin, and their number."""
        return self.pairs.slot_starts

    @property
    def in_index(self) -> Int64[Tensor, " P"]:
        """Input rows of the pairs, slot after slot."""
        return self.pairs.in_index

    @property
    def out_index(self) -> Int64[Tensor, " P"]:
        """Output rows of the pairs, slot after slot."""
        return self.pairs.out_index

    @cached_property
    def _mirrored(self) -> DenseMap:
        values = self.__dict__
        return DenseMap(
            (self.fine, self.coarse),
            values["_sizes"],
            self.kernel_size,
            self.step,
            values["_make_pairs"],
            backwards=not self.backwards,
            original=self,
        )

    @property
    def _padding(self) -> list[int]:
        """What `torch.nn.functional.pad` puts around the fine grid so that the kernel meets every coarse cell."""
        padding: list[int] = []
        for axis in reversed(range(len(self.step))):
            begin = self.step[axis] * self.coarse.origin[axis] + axis_offsets(self.kernel_size[axis])[0]
            length = self.step[axis] * (self.coarse.size[axis] - 1) + self.kernel_size[axis]
            left = self.fine.origin[axis] - begin
            padding += [left, length - self.fine.size[axis] - left]
        return padding

    def apply(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K _ C_out"],
        bias: Float[Tensor, " C_out"] | None = None,
        groups: int = 1,
    ) -> Float[Tensor, "num_out C_out"]:
        """The convolution; with `groups` = C_out the weight is (K, 1, C_out), a kernel for every channel."""
        dim = len(self.step)
        kernel = weight.reshape(*self.kernel_size, *weight.shape[1:])
        if self.backwards:
            dense = _TRANSPOSE[dim - 1](self.coarse.spread(feats), kernel.movedim((-2, -1), (0, 1)), bias, self.step)
            padding = [-amount for amount in self._padding]
            return self.fine.collect(F.pad(dense, padding) if any(padding) else dense)
        padding = self._padding
        dense, inside = self.fine.spread(feats), (0,) * dim
        if padding[::2] == padding[1::2] and min(padding) >= 0:
            inside = tuple(padding[::2][::-1])
        else:
            dense = F.pad(dense, padding)
        kernel = kernel.movedim((-1, -2), (0, 1))
        return self.coarse.collect(_CONVOLVE[dim - 1](dense, kernel, bias, self.step, inside, 1, groups))

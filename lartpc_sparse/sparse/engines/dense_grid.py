"""The voxels of a level as cells of dense arrays, one array an event, all of one size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lartpc_sparse.sparse.level import Level

__all__ = ["Grid", "grid_of"]


@dataclass(frozen=True, eq=False)
class Grid:
    """The smallest box that holds the voxels of all events.

    Attributes:
        origin: voxel index of the first cell.
        size: cells along each axis.
        events: number of events.
        cell: cell of every voxel, counted event by event; None when the voxels are all cells in this order.
    """

    origin: tuple[int, ...]
    size: tuple[int, ...]
    events: int
    cell: Int64[Tensor, " N"] | None

    @property
    def num_cells(self) -> int:
        """Cells of all events."""
        return self.events * math.prod(self.size)

    def spread(self, feats: Float[Tensor, "N C"]) -> Float[Tensor, "B C ..."]:
        """Features as dense arrays, channels second (last in memory), 0 where there is no voxel."""
        if self.cell is None:
            cells = feats
        else:
            cells = feats.new_zeros((self.num_cells, feats.shape[1])).index_copy(0, self.cell, feats)
        return cells.reshape(self.events, *self.size, feats.shape[1]).movedim(-1, 1)

    def collect(self, dense: Float[Tensor, "B C ..."]) -> Float[Tensor, "N C"]:
        """Features of the voxels from dense arrays."""
        cells = dense.movedim(1, -1).reshape(-1, dense.shape[1])
        return cells if self.cell is None else cells.index_select(0, self.cell)


def grid_of(level: Level) -> Grid:
    """The grid of a level; made once."""
    return level.derived("dense", _make)


def _make(level: Level) -> Grid:
    coords = level.coords
    if not len(coords):
        return Grid((0,) * level.dim, (0,) * level.dim, level.num_events, None)
    low, high = coords.amin(0).tolist(), coords.amax(0).tolist()
    size = tuple(last - first + 1 for first, last in zip(low, high, strict=True))
    cell = level.batch_index.clone()
    for axis, (first, length) in enumerate(zip(low, size, strict=True)):
        cell = cell.mul_(length).add_(coords[:, axis]).sub_(first)
    full = len(cell) == level.num_events * math.prod(size)
    ordered = full and torch.equal(cell, torch.arange(len(cell), device=cell.device))
    return Grid(tuple(low), size, level.num_events, None if ordered else cell)

"""The voxels of a batch at one resolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from lartpc_sparse.sparse.coordinates import pack

__all__ = ["Level"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Level:
    """Voxels at cumulative stride `stride`, in units of that stride.

    Attributes:
        coords: voxel index at this resolution (input coordinate // stride); events one after the other.
        offsets: rows of event b are `offsets[b]:offsets[b+1]`.
        stride: cumulative tensor stride, one number an axis.
    """

    coords: Int32[Tensor, "N D"]
    offsets: Int64[Tensor, " B1"]
    stride: tuple[int, ...]
    _derived: dict[str, object] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.coords.ndim != 2 or self.coords.shape[1] != len(self.stride):
            raise ValueError(
                f"coords of shape {tuple(self.coords.shape)} do not fit a stride of {len(self.stride)} axes"
            )
        ends = self.offsets[[0, -1]].tolist() if len(self.offsets) else [None, None]
        if ends != [0, len(self.coords)] or bool((self.offsets.diff() < 0).any()):
            raise ValueError(
                f"offsets must rise from 0 to the number of voxels {len(self.coords)}, they start at {ends[0]} "
                f"and end at {ends[1]}"
            )

    def derived(self, key: str, build: Callable[[Level], T]) -> T:
        """What an engine makes of this level (a sorted index): built when first asked for under `key`, then kept."""
        if key not in self._derived:
            self._derived[key] = build(self)
        return self._derived[key]  # type: ignore[return-value]

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def dim(self) -> int:
        """Number of axes D."""
        return len(self.stride)

    @property
    def num_events(self) -> int:
        """Number of events B, empty ones included."""
        return len(self.offsets) - 1

    @cached_property
    def batch_index(self) -> Int64[Tensor, " N"]:
        """Event of each voxel."""
        events = torch.arange(self.num_events, device=self.coords.device)
        return torch.repeat_interleave(events, self.offsets.diff(), output_size=len(self))

    @cached_property
    def keys(self) -> Int64[Tensor, " N"]:
        """Packed key of each voxel, in row order."""
        return pack(self.coords, self.batch_index)

    @cached_property
    def sorted_keys(self) -> Int64[Tensor, " N1"]:
        """Keys in rising order, closed by a sentinel that no voxel has."""
        keys = self.keys if self.row_of_rank is None else self.keys[self.row_of_rank]
        return torch.cat([keys, keys.new_full((1,), torch.iinfo(torch.int64).max)])

    def duplicates(self) -> tuple[int, int]:
        """Number of voxels that repeat another one, and the row of the first that is repeated (-1 for none)."""
        same = torch.nonzero(self.sorted_keys.diff() == 0).squeeze(1)
        if not len(same):
            return 0, -1
        rank = int(same[0])
        return len(same), rank if self.row_of_rank is None else int(self.row_of_rank[rank])

    @cached_property
    def row_of_rank(self) -> Int64[Tensor, " N"] | None:
        """Row of the n-th smallest key; None when the rows are sorted already."""
        if bool((self.keys.diff() > 0).all()):
            return None
        return torch.argsort(self.keys, stable=True)

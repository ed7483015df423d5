"""What larcv files hold for one event, whichever of their formats it came from: sets of numbered voxels on a grid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, Int64, Shaped, UInt64

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.schema import BadEventError
from lartpc_sparse.sparse.native.grid import voxel_coords
from lartpc_sparse.sparse.native.library import missing_reason

__all__ = ["Grid", "LarcvFile", "RawEvent", "VoxelSets", "Voxels"]

LARGEST_AXIS = 2**31 - 1
_LARGEST_GRID = 2**62


@dataclass(frozen=True)
class Grid:
    """The image that voxel ids refer to (`meta` in larcv).

    Attributes:
        image_size: voxels along each axis.
        lower: position of the first corner, in the file's unit.
        upper: position of the opposite corner.
        fastest: which axis the id counts first. larcv2 in 3D: the first, id = x + nx y + nx ny z. larcv2 in 2D, with
            axes (column, row): the last, id = row + rows x column. larcv3: the last.
    """

    image_size: tuple[int, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    fastest: Literal["first", "last"]

    @property
    def is_valid(self) -> bool:
        """False for the grid of an event that nobody filled: sizes of 0 or beyond any detector."""
        return all(0 < n <= LARGEST_AXIS for n in self.image_size) and math.prod(self.image_size) <= _LARGEST_GRID

    def coords(self, ids: UInt64[np.ndarray, " N"], key: EventKey, product: str) -> Int32[np.ndarray, "N D"]:
        """Voxel indices of ids.

        Raises:
            BadEventError: an id outside the image.
        """
        found: np.ndarray | None = None
        if not len(ids):
            return np.empty((0, len(self.image_size)), dtype=np.int32)
        if self.is_valid and missing_reason() is None:
            found = voxel_coords(ids, self.image_size, first_axis_first=self.fastest == "first")
        elif self.is_valid and ids.max() < math.prod(self.image_size):
            order: Literal["C", "F"] = "F" if self.fastest == "first" else "C"
            found = np.stack(np.unravel_index(ids.astype(np.int64), self.image_size, order), axis=1).astype(np.int32)
        if found is None:
            raise BadEventError(
                f"{key}: {product} has voxel id {ids.max()}, outside its image of size {self.image_size}; "
                "the event is damaged: leave it out, or make the file again"
            )
        return found


@dataclass(frozen=True)
class Voxels:
    """One product `sparse3d` or `sparse2d`, or the pixels of an `image2d` above threshold."""

    ids: UInt64[np.ndarray, " N"]
    values: Float32[np.ndarray, " N"]
    grid: Grid


@dataclass(frozen=True)
class VoxelSets:
    """One product `cluster3d` or `cluster2d`: K sets of voxels; set k has ids[offsets[k]:offsets[k + 1]]."""

    ids: UInt64[np.ndarray, " M"]
    values: Float32[np.ndarray, " M"]
    offsets: Int64[np.ndarray, " K1"]
    grid: Grid

    def union(self) -> Voxels:
        """All voxels by id; values of one that is in several sets are added."""
        ids, rows = np.unique(self.ids, return_inverse=True)
        if len(ids) == len(self.ids):
            return Voxels(ids, self.values[np.argsort(self.ids)], self.grid)
        return Voxels(ids, np.bincount(rows, weights=self.values).astype(np.float32), self.grid)


@dataclass(frozen=True)
class RawEvent:
    """The chosen products of one event; None: the product is not read.

    Attributes:
        particles: columns of numbers by the name of the field, P rows each.
    """

    energy: Voxels
    semantic: Voxels | None = None
    clusters: VoxelSets | None = None
    particles: Mapping[str, Shaped[np.ndarray, " P"]] | None = field(default=None)


@runtime_checkable
class LarcvFile(Protocol):
    """One open file; every method names file, event and product in its errors."""

    @property
    def products(self) -> tuple[str, ...]:
        """Names with their kind: `sparse3d_data`."""
        ...

    def num_events(self, product: str) -> int:
        """Entries of a product."""
        ...

    def voxels(self, product: str, key: EventKey, *, everywhere: bool = False) -> Voxels:
        """Voxels of any kind of image; everywhere: all pixels of a dense image, whatever their value."""
        ...

    def clusters(self, product: str, key: EventKey) -> VoxelSets:
        """A `cluster3d` or `cluster2d`."""
        ...

    def particles(self, product: str, key: EventKey) -> dict[str, np.ndarray]:
        """Columns of numbers of a `particle` product."""
        ...

    def event_id(self, product: str, key: EventKey) -> tuple[int, int, int]:
        """Run, subrun and event."""
        ...

    def num_voxels(self, product: str, first: int, last: int) -> Int64[np.ndarray, " n"]:
        """Voxels of the entries first..last-1."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...

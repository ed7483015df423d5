"""One readout of the detector, as numpy arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, Int64, Shaped

from lartpc_sparse.data.frame import Frame

__all__ = ["Event", "EventKey"]


@dataclass(frozen=True)
class EventKey:
    """Where an event came from: file name and entry in it. Unique within a job."""

    file: str
    entry: int

    def __str__(self) -> str:
        return f"{self.file} entry {self.entry}"


@dataclass(frozen=True)
class Event:
    """Voxels of one image with their labels; N voxels, D = 2 or 3 axes.

    Attributes:
        key: file and entry.
        coords: voxel index, one row a voxel, no duplicates once `merge_duplicates` has run.
        energy: deposited energy in MeV (3D) or pixel intensity in the detector's units (2D).
        feats: input of the network, C features a voxel; the energy itself until a transform changes it.
        image_size: number of voxels along each axis; 0 <= coords < image_size.
        classes: names of the values 0, 1, ... of `labels["semantic"]`.
        labels: per-voxel columns by name. `semantic` int64 (index into `classes`, -1 not labelled),
            `instance` int64 (particle or shower fragment, -1 none), and whatever else the file has
            (`fragment`, `group`, `interaction`, `pid`, ...). Transforms may add columns.
        particles: the particle table, one array of P rows a column.
        inverse_index: row in the file -> row here, -1 for a voxel that was dropped; its length is the
            number of voxels in the file.
        frame: how the axes here lie in the image of the file. The particle table keeps the positions and
            directions of the file; `frame.positions` and `frame.directions` bring them here.
        gaps: boxes that a masking transform has emptied, first position inside and first beyond along each axis, in
            the image as it is here; None: no such transform has run.

    Raises:
        ValueError: array lengths or shapes disagree.
    """

    key: EventKey
    coords: Int32[np.ndarray, "N D"]
    energy: Float32[np.ndarray, " N"]
    image_size: tuple[int, ...]
    feats: Float32[np.ndarray, "N C"] = None  # type: ignore[assignment]
    classes: tuple[str, ...] = ()
    labels: Mapping[str, Shaped[np.ndarray, " N"]] = field(default_factory=dict)
    particles: Mapping[str, Shaped[np.ndarray, "P ..."]] = field(default_factory=dict)
    inverse_index: Int64[np.ndarray, " M"] = None  # type: ignore[assignment]
    frame: Frame = None  # type: ignore[assignment]
    gaps: Int64[np.ndarray, "R 2 D"] | None = None

    def __post_init__(self) -> None:
        shape, dim = self.coords.shape, len(self.image_size)
        if self.feats is None:
            object.__setattr__(self, "feats", self.energy.reshape(-1, 1))
        if self.inverse_index is None:
            object.__setattr__(self, "inverse_index", _first_rows(shape[0]))
        if self.frame is None:
            object.__setattr__(self, "frame", Frame.identity(dim))
        if len(shape) != 2 or shape[1] != dim:
            raise ValueError(
                f"{self.key}: coords have shape {shape}, expected (N, {dim}) for image_size {self.image_size}"
            )
        if {len(self.energy), len(self.feats), *map(len, self.labels.values())} != {shape[0]}:
            columns = {"energy": self.energy, "feats": self.feats, **self.labels}
            wrong = {name: len(column) for name, column in columns.items() if len(column) != shape[0]}
            raise ValueError(f"{self.key}: {shape[0]} coords but columns of other lengths: {wrong}")

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def dim(self) -> int:
        """Number of spatial axes D."""
        return len(self.image_size)

    @property
    def num_lost(self) -> int:
        """Voxels of the file that have no voxel here: cut off, masked, or lost by a transform."""
        return int((self.inverse_index < 0).sum())

    def moved(self, step: Frame, image_size: tuple[int, ...] | None = None) -> Event:
        """The event with its voxels moved by `step`, in an image of the same or of another size."""
        return self.replace(
            coords=step.voxels(self.coords), frame=self.frame.then(step), image_size=image_size or self.image_size
        )

    def replace(self, **changes: Any) -> Event:
        """A copy with some fields replaced."""
        return dataclasses.replace(self, **changes)

    def with_labels(self, **columns: Shaped[np.ndarray, " N"]) -> Event:
        """A copy with label columns added or replaced."""
        return self.replace(labels={**self.labels, **columns})

    def select(self, rows: Bool[np.ndarray, " N"] | Int[np.ndarray, " K"]) -> Event:
        """The event with the given rows only, in the given order (mask or indices without repeats).

        `inverse_index` follows: file rows whose voxel is dropped point to -1.
        """
        index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        new_row = np.full(len(self) + 1, -1, dtype=np.int64)  # the last entry serves inverse_index == -1
        new_row[index] = np.arange(len(index))
        return self.replace(
            coords=self.coords[index],
            energy=self.energy[index],
            feats=self.feats[index],
            labels={name: column[index] for name, column in self.labels.items()},
            inverse_index=new_row[self.inverse_index],
        )


def _first_rows(count: int) -> Int64[np.ndarray, " N"]:
    """0, 1, ..., count - 1, read-only: nearly every event has it, and making it anew costs a tenth of reading one."""
    return _row_numbers(1 << max(count - 1, 0).bit_length())[:count]


@functools.cache
def _row_numbers(count: int) -> Int64[np.ndarray, " N"]:
    rows = np.arange(count, dtype=np.int64)
    rows.flags.writeable = False
    return rows

"""The products of a larcv3 file as they are written, one event after the other."""

from __future__ import annotations

from functools import cache
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt64

from lartpc_sparse.data.classes import LARCV_SHAPES
from lartpc_sparse.data.larcv_tables import (
    EXTENTS,
    ID_EXTENTS,
    PARTICLE,
    VOXEL,
    GrowingTable,
    flat_fields,
    group_name,
    image_meta,
)

__all__ = ["ClusterOutput", "ParticleOutput", "SparseOutput", "meta_row", "shape_table", "voxel_ids"]

VOXEL_ROWS = 4096
"""Rows of a chunk; a chunk is unpacked whole, so that larger ones are slower to read at random."""
_PDG_OF_PID = np.array([22, 11, 13, 211, 2212, 0])
_SHAPE_UNKNOWN = 2
"""Of larcv3, whose shapes are shower, track and unknown."""
_ALIASES = {"vtx_x": "vertex_x", "vtx_y": "vertex_y", "vtx_z": "vertex_z"}


def meta_row(image_size: tuple[int, ...], voxel_size: float) -> Shaped[np.ndarray, "1"]:
    """The row of `image_meta` of every event; `voxel_size` in the unit of the file, by custom cm."""
    row = np.zeros(1, dtype=image_meta(len(image_size)))
    row["valid"], row["number_of_voxels"] = 1, image_size
    row["image_sizes"] = np.array(image_size) * voxel_size
    return row


class SparseOutput:
    """A product `sparse3d` or `sparse2d`."""

    def __init__(self, file: h5py.File, product: str, meta: Shaped[np.ndarray, "1"]) -> None:
        group = group_name(product)
        self._meta_row = meta
        self._extents = GrowingTable(file, f"{group}/extents", EXTENTS)
        self._voxel_extents = GrowingTable(file, f"{group}/voxel_extents", ID_EXTENTS)
        self._meta = GrowingTable(file, f"{group}/image_meta", meta.dtype, rows=1024)
        self._voxels = GrowingTable(file, f"{group}/voxels", VOXEL, rows=VOXEL_ROWS)

    def append(self, ids: UInt64[np.ndarray, " N"], values: Shaped[np.ndarray, " N"]) -> None:
        """One event; ids grow."""
        self._extents.append(np.array([(len(self._extents), 1)], dtype=EXTENTS))
        self._voxel_extents.append(np.array([(len(self._voxels), len(ids), 0)], dtype=ID_EXTENTS))
        self._meta.append(self._meta_row)
        self._voxels.append(_voxels(ids, values))

    def close(self) -> None:
        """Write what still waits."""
        for table in (self._extents, self._voxel_extents, self._meta, self._voxels):
            table.close()


class ClusterOutput:
    """A product `cluster3d` or `cluster2d`: a set a particle, and a catch-all at the end.

    The catch-all is always there: larcv reads past the end of its own memory for an event without sets.
    """

    def __init__(self, file: h5py.File, product: str, meta: Shaped[np.ndarray, "1"]) -> None:
        group = group_name(product)
        self._meta_row = meta
        self._extents = GrowingTable(file, f"{group}/extents", EXTENTS)
        self._projection_extents = GrowingTable(file, f"{group}/projection_extents", ID_EXTENTS)
        self._cluster_extents = GrowingTable(file, f"{group}/cluster_extents", ID_EXTENTS)
        self._meta = GrowingTable(file, f"{group}/image_meta", meta.dtype, rows=1024)
        self._voxels = GrowingTable(file, f"{group}/voxels", VOXEL, rows=VOXEL_ROWS)

    def append(
        self,
        ids: UInt64[np.ndarray, " N"],
        values: Float32[np.ndarray, " N"],
        instance: Int64[np.ndarray, " N"],
        num_particles: int,
    ) -> None:
        """One event; ids grow.

        Set k is of the instance k if all instances are rows of the particle table, else of the k-th smallest; the
        voxels of no instance (-1) are in the catch-all.
        """
        own = instance >= 0
        if len(instance) and instance.max() >= num_particles:
            numbers = np.unique(instance[own])
            instance = np.where(own, np.searchsorted(numbers, instance), -1)
            num_particles = len(numbers)
        of_voxel = np.where(instance >= 0, instance, num_particles)
        order = np.argsort(of_voxel, kind="stable")
        counts = np.bincount(of_voxel, minlength=num_particles + 1)
        extents = np.zeros(num_particles + 1, dtype=ID_EXTENTS)
        extents["first"] = len(self._voxels) + np.cumsum(counts) - counts
        extents["N"], extents["ID"] = counts, np.arange(num_particles + 1)
        self._extents.append(np.array([(len(self._extents), 1)], dtype=EXTENTS))
        self._projection_extents.append(np.array([(len(self._cluster_extents), len(extents), 0)], dtype=ID_EXTENTS))
        self._cluster_extents.append(extents)
        self._meta.append(self._meta_row)
        self._voxels.append(_voxels(ids[order], values[order]))

    def close(self) -> None:
        """Write what still waits."""
        tables = (self._extents, self._projection_extents, self._cluster_extents, self._meta, self._voxels)
        for table in tables:
            table.close()


class ParticleOutput:
    """A product `particle`, filled from the columns whose names larcv knows."""

    def __init__(self, file: h5py.File, product: str) -> None:
        group = group_name(product)
        self._extents = GrowingTable(file, f"{group}/extents", EXTENTS)
        self._particles = GrowingTable(file, f"{group}/particles", PARTICLE, rows=512)

    def append(self, columns: dict[str, Shaped[np.ndarray, "P ..."]]) -> None:
        """One event."""
        rows = larcv_particles(columns)
        self._extents.append(np.array([(len(self._particles), len(rows))], dtype=EXTENTS))
        self._particles.append(rows)

    def close(self) -> None:
        """Write what still waits."""
        self._extents.close()
        self._particles.close()


def larcv_particles(columns: dict[str, Shaped[np.ndarray, "P ..."]]) -> Shaped[np.ndarray, " P"]:
    """Rows of larcv's particle table.

    A column is taken if larcv has a field of its name (`pdg`, `vtx_x`, `energy_init`, ...) and all its values fit;
    without `pdg`, PILArNet's `pid` gives it up to the sign (0 for none). What is missing has larcv's mark for "not
    set"; `id` is the row.
    """
    count = len(next(iter(columns.values()), ()))
    rows = np.repeat(_not_set(), count)
    if "pdg" not in columns and "pid" in columns and columns["pid"].dtype.kind in "iu":
        pid = columns["pid"]
        columns = {**columns, "pdg": _PDG_OF_PID[np.where((pid >= 0) & (pid <= 4), pid, 5)]}
    for name, (path, kind) in flat_fields(PARTICLE).items():
        column = columns.get(name, columns.get(_ALIASES.get(name, "")))
        if column is None or column.ndim != 1 or not _fits(column, kind):
            continue
        field = _field(rows, path)
        not_set = np.isnan(column) if kind.kind == "f" else (column == -1) & (kind.kind == "u")
        field[~not_set] = column[~not_set]
    rows["id"] = np.arange(count) % 2**16
    return rows


@cache
def _not_set() -> Shaped[np.ndarray, "1"]:
    """A particle of which nothing is known."""
    row = np.zeros(1, dtype=PARTICLE)
    for path, kind in flat_fields(PARTICLE).values():
        largest = {"u": np.iinfo, "f": np.finfo}.get(kind.kind)
        _field(row, path)[0] = largest(kind).max if largest else 0
    row["shape"], row["current_type"], row["interaction_type"] = _SHAPE_UNKNOWN, -1, -1
    return row


def _field(rows: Shaped[np.ndarray, " P"], path: tuple[str, ...]) -> Shaped[np.ndarray, " P"]:
    """View of a field of records, `path` its names from outside inwards."""
    view: np.ndarray = rows
    for name in path:
        view = view[name]
    return view


def _fits(column: Shaped[np.ndarray, " P"], kind: np.dtype[Any]) -> bool:
    if kind.kind == "f":
        return True
    low, high = (-1 if kind.kind == "u" else np.iinfo(kind).min), np.iinfo(kind).max
    return column.dtype.kind in "biu" and bool(((column >= low) & (column <= high)).all())


def _voxels(ids: UInt64[np.ndarray, " N"], values: Shaped[np.ndarray, " N"]) -> Shaped[np.ndarray, " N"]:
    rows = np.zeros(len(ids), dtype=VOXEL)
    rows["id"], rows["value"] = ids, values
    return rows


def voxel_ids(coords: Shaped[np.ndarray, "N D"], image_size: tuple[int, ...]) -> UInt64[np.ndarray, " N"]:
    """Ids of larcv3: the last axis counts fastest."""
    ids = np.zeros(len(coords), dtype=np.uint64)
    for axis, size in enumerate(image_size):
        ids = ids * np.uint64(size) + coords[:, axis].astype(np.uint64)
    return ids


def shape_table(classes: tuple[str, ...]) -> Shaped[np.ndarray, " K1"]:
    """larcv2 shape of each class, and at the end of -1; empty when a class has none."""
    names = ["track" if name in ("HIP", "MIP") else name for name in classes]
    if not classes or any(name not in LARCV_SHAPES for name in names):
        return np.zeros(0, dtype=np.float32)
    return np.array([LARCV_SHAPES.index(name) for name in [*names, "unknown"]], dtype=np.float32)

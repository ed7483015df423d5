"""Layout of larcv3 files (HDF5), and of what this project adds so that nothing of an event is lost.

larcv3 has one group `Data/<kind>_<producer>_group` a product, tables of records in it, and `Events/event_id`:

- `sparse3d`, `sparse2d`: `extents` (a row an event) -> `voxel_extents` (a row a projection) -> `voxels`
- `cluster3d`, `cluster2d`: `extents` -> `projection_extents` -> `cluster_extents` (a row a voxel set) -> `voxels`
- `particle`: `extents` -> `particles`

Each points to rows of the next; `image_meta` has a row a projection, too.

Voxel ids count the last axis fastest (in larcv2: the first), and grow inside a set.

A file written here has besides a group `lartpc_sparse`, which larcv does not look at; see `LarcvFileWriter`.
"""

from __future__ import annotations

from typing import Any, Final

import h5py
import numpy as np

__all__ = [
    "CLUSTERS",
    "COLUMN_PREFIX",
    "ENERGY",
    "EVENT_ID",
    "EXACT",
    "EXTENTS",
    "FORMAT",
    "FORMAT_VERSION",
    "ID_EXTENTS",
    "OWN_GROUP",
    "PARTICLE",
    "PARTICLES",
    "SHAPES",
    "VOXEL",
    "GrowingTable",
    "column_product",
    "flat_fields",
    "group_name",
    "image_meta",
]

FORMAT: Final = "lartpc_sparse.larcv3"
FORMAT_VERSION: Final = 1
OWN_GROUP: Final = "lartpc_sparse"
"""Group of what larcv has no place for."""

ENERGY: Final = "pcluster"
SHAPES: Final = "pcluster_semantics"
CLUSTERS: Final = "pcluster"
PARTICLES: Final = "pcluster"
"""Producers of the products that larcv users expect, as larcv2 files have them."""

COLUMN_PREFIX: Final = "column_"
"""Before the producer names of label columns, one sparse product each."""

EVENT_ID = np.dtype([("run", "<i8"), ("subrun", "<i8"), ("event", "<i8")])
EXTENTS = np.dtype({"names": ["first", "N"], "formats": ["<u8", "<u4"], "offsets": [0, 8], "itemsize": 16})
ID_EXTENTS = np.dtype([("first", "<u8"), ("N", "<u4"), ("ID", "<u4")])
VOXEL = np.dtype({"names": ["id", "value"], "formats": ["<u8", "<f4"], "offsets": [0, 8], "itemsize": 16})
EXACT = np.dtype([("row", "<i8"), ("value", "<i8")])
"""Of this project: a label that a float cannot hold."""
_VERTEX = np.dtype([(axis, "<f8") for axis in "xyzt"])
PARTICLE = np.dtype(
    [
        *(("id", "<u2"), ("mcst_index", "<u2"), ("mct_index", "<u2"), ("shape", "<i4")),
        *(("current_type", "<i2"), ("interaction_type", "<i2"), ("trackid", "<u4"), ("pdg", "<i4")),
        *((name, "<f8") for name in ("px", "py", "pz")),
        *((name, _VERTEX) for name in ("vtx", "end_pt", "first_step", "last_step")),
        *((name, "<f8") for name in ("dist_travel", "energy_init", "energy_deposit")),
        *(("process", "S64"), ("parent_trackid", "<u4"), ("parent_pdg", "<i4"), ("parent_vtx", _VERTEX)),
        *(("ancestor_trackid", "<u4"), ("ancestor_pdg", "<i4"), ("ancestor_vtx", _VERTEX)),
    ],
    align=True,
)
"""`larcv3::ParticleHolder`."""


def image_meta(dim: int) -> np.dtype[Any]:
    """Type of a row of `image_meta` for images of `dim` axes."""
    formats: list[Any] = ["u1", "<u8", ("<f8", (dim,)), ("<u8", (dim,)), ("<f8", (dim,))]
    names = ["valid", "projection_id", "image_sizes", "number_of_voxels", "origin"]
    offsets = [0, 8, 16, 16 + 8 * dim, 16 + 16 * dim]
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": 16 + 24 * dim + 8})


def group_name(product: str) -> str:
    """Path of the group of a product such as `sparse3d_pcluster`."""
    return f"Data/{product}_group"


def column_product(label: str, dim: int) -> str:
    """Product of a label column."""
    return f"sparse{dim}d_{COLUMN_PREFIX}{label}"


def flat_fields(dtype: np.dtype[Any]) -> dict[str, tuple[tuple[str, ...], np.dtype[Any]]]:
    """Fields of numbers of a record type by flat name: `vtx_x` -> (("vtx", "x"), f8)."""
    fields: dict[str, tuple[tuple[str, ...], np.dtype[Any]]] = {}
    for name in dtype.names or ():
        inner = dtype[name]
        if inner.names:
            fields.update({f"{name}_{sub}": ((name, *path), kind) for sub, (path, kind) in flat_fields(inner).items()})
        elif inner.kind in "biuf" and not inner.subdtype:
            fields[name] = ((name,), inner)
    return fields


class GrowingTable:
    """One data set of records or numbers, written row by row; rows wait until a chunk is full.

    Packed with what every HDF5 library has (shuffle, deflate), since larcv brings no other filters; each chunk has a
    checksum.

    Args:
        file: open for writing.
        path: of the data set.
        dtype: of a row.
        row_shape: shape of a row, () for one value.
        rows: of a chunk.
    """

    def __init__(
        self, file: h5py.File, path: str, dtype: np.dtype[Any], row_shape: tuple[int, ...] = (), rows: int = 4096
    ) -> None:
        self.dtype, self.row_shape = dtype, row_shape
        self._rows = rows
        self._data = file.create_dataset(
            path,
            shape=(0, *row_shape),
            maxshape=(None, *row_shape),
            dtype=dtype,
            chunks=(rows, *(max(n, 1) for n in row_shape)),
            shuffle=True,
            compression="gzip",
            compression_opts=1,
            fletcher32=True,
        )
        self._waiting: list[np.ndarray] = []
        self._num_waiting = self._num_written = 0

    def __len__(self) -> int:
        return self._num_written + self._num_waiting

    def append(self, rows: np.ndarray) -> None:
        """Add rows at the end."""
        self._waiting.append(np.array(rows, dtype=self.dtype))
        self._num_waiting += len(rows)
        if self._num_waiting >= self._rows:
            self._write(self._num_waiting - self._num_waiting % self._rows)

    def close(self) -> None:
        """Write the rows that still wait."""
        self._write(self._num_waiting)

    def _write(self, count: int) -> None:
        if not count:
            return
        rows = np.concatenate(self._waiting)
        self._data.resize(self._num_written + count, axis=0)
        self._data[self._num_written :] = rows[:count]
        self._waiting, self._num_waiting = [rows[count:].copy()], len(rows) - count
        self._num_written += count

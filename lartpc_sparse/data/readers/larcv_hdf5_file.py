"""One open larcv3 file; the tables are those of `lartpc_sparse.data.larcv_tables`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.larcv_tables import flat_fields, group_name
from lartpc_sparse.data.readers.files import damage_named, open_hdf5
from lartpc_sparse.data.readers.larcv_particles import tidy_column
from lartpc_sparse.data.readers.larcv_products import PRODUCT_KINDS
from lartpc_sparse.data.readers.larcv_raw import Grid, Voxels, VoxelSets
from lartpc_sparse.schema import UserError

__all__ = ["Hdf5File", "read_rows"]

_GROUP = re.compile(rf"(?P<product>({'|'.join(PRODUCT_KINDS)})_.+)_group")
_NOTHING = np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.float32)
_LARGEST_RATIO = 1100
"""Deflate packs at most 1032 times; a data set that claims more rows than that is damaged."""


def read_rows(data: h5py.Dataset, first: int, count: int) -> Shaped[np.ndarray, "n ..."]:
    """Rows first .. first + count - 1, refused before memory is taken for rows that cannot be there.

    Raises:
        ValueError: the data set does not have these rows.
    """
    if not 0 <= first <= first + count <= len(data):
        raise ValueError(f"rows {first}..{first + count - 1} of {data.name}, which has {len(data)}")
    size = count * data.id.get_type().get_size() * int(np.prod(data.shape[1:]))  # `data.dtype` is slow to make
    if size > data.id.get_storage_size() * _LARGEST_RATIO:
        raise ValueError(f"{data.name}: {count} rows cannot be packed in {data.id.get_storage_size()} bytes")
    rows: np.ndarray = data[first : first + count]
    return rows


class Hdf5File:
    """One open larcv3 file.

    Small tables (one row an event) are read whole at their first use, voxels and particles an event at a time.

    Args:
        path: of the file.
        projection: id of the plane of 2D products.

    Raises:
        UserError: missing, not HDF5, not larcv3, or damaged.
    """

    def __init__(self, path: str, *, projection: int) -> None:
        self._path, self._projection = path, projection
        self._file = open_hdf5(path)
        with damage_named(path, "the list of products"):
            if "Data" not in self._file or "Events" not in self._file:
                raise UserError(
                    f"{path} has no groups Data and Events, so it is not larcv3; it has {sorted(self._file)}: choose "
                    "the `kind` of reader that fits the file"
                )
            matches = [_GROUP.fullmatch(name) for name in self._file["Data"]]
            self._products = tuple(sorted(match["product"] for match in matches if match))
        self._whole: dict[str, np.ndarray] = {}
        self._open: dict[str, h5py.Dataset] = {}

    @property
    def products(self) -> tuple[str, ...]:
        """Names with their kind: `sparse3d_data`."""
        return self._products

    def close(self) -> None:
        """Close the file."""
        self._open.clear()
        self._file.close()

    def num_events(self, product: str) -> int:
        """Rows of `extents`, as many as events."""
        with damage_named(self._path, f"{product} extents"):
            count = len(self._file[f"{group_name(product)}/extents"])
        with damage_named(self._path, "Events/event_id"):
            if len(self._file["Events/event_id"]) != count:
                raise ValueError(f"{len(self._file['Events/event_id'])} events, but {product} has {count}")
        return count

    def event_id(self, product: str, key: EventKey) -> tuple[int, int, int]:
        """Run, subrun and event; products share one table."""
        with damage_named(key, "Events/event_id"):
            row = self._table("Events/event_id")[key.entry]
            return int(row["run"]), int(row["subrun"]), int(row["event"])

    def num_voxels(self, product: str, first: int, last: int) -> Int64[np.ndarray, " n"]:
        """Voxels of the entries first..last-1."""
        with damage_named(self._path, f"{product}: the number of voxels"):
            extents = self._table(f"{group_name(product)}/extents")[first:last]
            if product.startswith("sparse3d_") and (extents["N"] == 1).all():  # as larcv writes it
                planes = self._table(f"{group_name(product)}/voxel_extents")
                if len(extents) and extents["first"].max() >= len(planes):
                    raise ValueError(f"plane {extents['first'].max()} of voxel_extents, which has {len(planes)}")
                counts: np.ndarray = planes["N"][extents["first"]].astype(np.int64)
                return counts
            if product.startswith("cluster3d_"):
                keys = (EventKey(self._path, entry) for entry in range(first, last))
                return np.array([len(self.voxels(product, key).ids) for key in keys], dtype=np.int64)
            rows = [
                self._plane(product, "voxel_extents", EventKey(self._path, entry))[0] for entry in range(first, last)
            ]
            return np.array([0 if row is None else int(row["N"]) for row in rows], dtype=np.int64)

    def voxels(self, product: str, key: EventKey, *, everywhere: bool = False) -> Voxels:
        """A `sparse3d`, a plane of `sparse2d`, or the union of a `cluster3d`."""
        del everywhere  # there are no dense images here
        if product.startswith("cluster3d_"):
            return self.clusters(product, key).union()
        with self._damage_named(key, product, "voxels"):
            row, grid = self._plane(product, "voxel_extents", key)
            if row is None:
                return Voxels(*_NOTHING, grid)
            voxels = self._rows(product, "voxels", row)
            return Voxels(voxels["id"].astype(np.uint64), voxels["value"].astype(np.float32), grid)

    def clusters(self, product: str, key: EventKey) -> VoxelSets:
        """A `cluster3d`, or a plane of `cluster2d`."""
        with self._damage_named(key, product, "voxel sets"):
            row, grid = self._plane(product, "projection_extents", key)
            if row is None:
                return VoxelSets(*_NOTHING, np.zeros(1, dtype=np.int64), grid)
            sets = self._rows(product, "cluster_extents", row)
            counts = sets["N"].astype(np.int64)
            offsets = np.cumsum([0, *counts], dtype=np.int64)
            if len(sets) and not np.array_equal(sets["first"], sets["first"][0] + offsets[:-1].astype(np.uint64)):
                raise ValueError("the voxel sets do not follow one another")
            first = int(sets["first"][0]) if len(sets) else 0
            voxels = read_rows(self._data(f"{group_name(product)}/voxels"), first, int(offsets[-1]))
            ids, values = voxels["id"].astype(np.uint64), voxels["value"].astype(np.float32)
            return VoxelSets(ids, values, offsets, grid)

    def particles(self, product: str, key: EventKey) -> dict[str, np.ndarray]:
        """Columns of numbers of a `particle` product: `pdg`, `vtx_x`, ..."""
        with self._damage_named(key, product, "particles"):
            rows = self._rows(product, "particles", self._table(f"{group_name(product)}/extents")[key.entry])
            columns = {}
            for name, (path, _) in flat_fields(rows.dtype).items():
                column = rows
                for field in path:
                    column = column[field]
                columns[name] = tidy_column(column)
            return columns

    def _plane(self, product: str, table: str, key: EventKey) -> tuple[np.void | None, Grid]:
        """The row of the wanted projection in `table`, None for an event without any; and its grid."""
        group = group_name(product)
        extent = self._table(f"{group}/extents")[key.entry]
        planes, metas = self._table(f"{group}/{table}"), self._table(f"{group}/image_meta")
        first, count = int(extent["first"]), int(extent["N"])
        if first + count > min(len(planes), len(metas)):
            raise ValueError(f"planes {first}..{first + count - 1} of {table}, which has {len(planes)}")
        meta = metas[first : first + count]
        if not count:
            return None, Grid((0,) * metas.dtype["origin"].shape[0], (), (), "last")
        ids = meta["projection_id"]
        alone = count == 1 and "3d_" in product  # a three-dimensional image has no planes to choose from
        found = [0] if alone else np.flatnonzero(ids == self._projection)
        if len(found) != 1:
            raise UserError(
                f"{key}: {product} has the planes {ids.tolist()}, and {len(found)} of them is `projection: "
                f"{self._projection}`"
            )
        lower, size = meta["origin"][found[0]], meta["image_sizes"][found[0]]
        image_size = tuple(int(n) for n in meta["number_of_voxels"][found[0]])
        return planes[first + found[0]], Grid(image_size, tuple(lower.tolist()), tuple((lower + size).tolist()), "last")

    def _rows(self, product: str, table: str, extent: np.void) -> Shaped[np.ndarray, " n"]:
        return read_rows(self._data(f"{group_name(product)}/{table}"), int(extent["first"]), int(extent["N"]))

    def _data(self, path: str) -> h5py.Dataset:
        """A data set, remembered: h5py takes longer to find it than to read an event of it."""
        if path not in self._open:
            self._open[path] = self._file[path]
        return self._open[path]

    def _table(self, path: str) -> Shaped[np.ndarray, " n"]:
        if path not in self._whole:
            self._whole[path] = read_rows(self._file[path], 0, len(self._file[path]))
        return self._whole[path]

    @contextmanager
    def _damage_named(self, key: EventKey, product: str, field: str) -> Iterator[None]:
        with damage_named(key, f"{field} of {product}"):
            try:
                yield
            except IndexError as error:  # an entry that the tables no longer have
                raise ValueError(str(error)) from error

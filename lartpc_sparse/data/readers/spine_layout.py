"""The products of a SPINE HDF5 file, version 2: flat values with offsets a product, described by its attributes.

`info` has the attribute `format_version` 2 and perhaps `complete`; `events` (E,) is the event axis;
`products/<key>` is a group with the attribute `kind`:

- `array`: `values` (N, W) and `event_offsets` (E+1,); its attribute `product_metadata` (YAML) says how many of the W
  columns are coordinates (`coordinate_width`) and names the others (`schema: feature_fields`);
- `objects`: compound rows `fixed` and `event_offsets`; fields of variable length are kept elsewhere and not read here.

A product's own tables are groups inside it: `meta` (lower, upper, size in cm, count of voxels; one row an event) and
`particles`. A product of type `cluster_label` has the columns x, y, z, value, cluster and, with particles, the row of
the particle in the event's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import yaml
from jaxtyping import Int64, Num, Shaped

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers.files import damage_named, open_hdf5
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["Product", "SpineFile", "Table"]

VERSION = 2
_CLUSTER_FIELDS = {"value": 0, "cluster": 1, "particle_index": 2}
_HELPERS = "_var_offsets_"


@dataclass(frozen=True)
class Rows:
    """Rows of each event in one data set."""

    data: h5py.Dataset
    offsets: Int64[np.ndarray, " E1"]
    name: str

    def read(self, key: EventKey, fields: Sequence[str] = ()) -> Shaped[np.ndarray, "N ..."]:
        """The rows of one event; of compound rows some fields, all when none is named.

        Raises:
            BadEventError: damaged data, or an event that the file does not have.
        """
        if key.entry >= len(self.offsets) - 1:
            raise BadEventError(f"{key}: {self.name} has {len(self.offsets) - 1} events; the file has changed")
        with damage_named(key, self.name):
            data = self.data.fields(fields) if fields else self.data
            rows: np.ndarray = data[int(self.offsets[key.entry]) : int(self.offsets[key.entry + 1])]
        return rows


@dataclass(frozen=True)
class Product:
    """A product of voxels: coordinates and named features.

    Attributes:
        rows: one row a voxel.
        width: columns that are coordinates.
        fields: place of each named feature after the coordinates.
    """

    rows: Rows
    width: int
    fields: dict[str, int]

    def place(self, feature: str | int) -> int:
        """Place of a feature after the coordinates.

        Raises:
            UserError: there is no such feature.
        """
        places = self.rows.data.shape[1] - self.width
        place = feature if isinstance(feature, int) else self.fields.get(feature, -1)
        if not 0 <= place < places:
            raise UserError(
                f"{self.rows.data.file.filename}: product {self.rows.name} has no feature {feature!r}; it has {places} "
                f"after the coordinates, with the names {sorted(self.fields)}"
            )
        return place

    def read(self, key: EventKey) -> tuple[Num[np.ndarray, "N D"], Num[np.ndarray, "N F"]]:
        """Coordinates and features of one event."""
        values = self.rows.read(key)
        return values[:, : self.width], values[:, self.width :]


@dataclass(frozen=True)
class Table:
    """A table of objects, such as the particles of the events."""

    rows: Rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of numbers."""
        dtype = self.rows.data.dtype
        names = dtype.names or ()
        return tuple(name for name in names if not name.startswith(_HELPERS) and dtype[name].base.kind in "biuf")

    def read(self, key: EventKey) -> dict[str, Shaped[np.ndarray, "P ..."]]:
        """The columns of one event."""
        columns = self.columns
        rows = self.rows.read(key, columns)
        return {name: np.ascontiguousarray(rows[name]) for name in columns}


class SpineFile:
    """One open file.

    Raises:
        UserError: not a SPINE file of version 2, or marked as incomplete.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = open_hdf5(path)
        with damage_named(path, "the layout"):
            if "products" not in self._file or "events" not in self._file:
                raise UserError(
                    f"{path} has no groups `products` and `events`, so it is no SPINE file of version {VERSION}; it "
                    f"has {sorted(self._file)}: choose the `kind` of reader that fits the file"
                )
            info = self._file["info"].attrs if "info" in self._file else {}
            version = int(info.get("format_version", VERSION))
            if version != VERSION:
                raise UserError(f"{path} has format_version {version}; only version {VERSION} is read")
            if not info.get("complete", True):
                raise UserError(f"{path} is marked as incomplete by its writer; make it again")
            self.num_events = len(self._file["events"])
            self.keys = tuple(sorted(self._file["products"]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def product(self, name: str) -> Product:
        """A product of voxels.

        Raises:
            UserError: missing, of another kind, or damaged.
        """
        with damage_named(self.path, f"product {name}"):
            group = self._group(name)
            rows = self._rows(group, "values", name)
            metadata = _metadata(group)
            width, fields = _columns(metadata)
        shape, dtype = rows.data.shape, rows.data.dtype
        if len(shape) != 2 or dtype.kind not in "iuf" or not 0 < width <= shape[1]:
            raise UserError(
                f"{self.path}: product {name} has values of shape {shape} and type {dtype}, expected rows of numbers "
                f"with {width} coordinates first"
            )
        return Product(rows, width, fields)

    def table(self, name: str) -> Table | None:
        """A table of objects, `data/meta` say; None when it is not there."""
        with damage_named(self.path, f"product {name}"):
            if f"products/{name}" not in self._file:
                return None
            return Table(self._rows(self._group(name), "fixed", name))

    def _group(self, name: str) -> h5py.Group:
        if f"products/{name}" not in self._file:
            raise UserError(f"{self.path} has no product {name}; it has {', '.join(self.keys) or 'none'}")
        group: h5py.Group = self._file["products"][name]
        return group

    def _rows(self, group: h5py.Group, data: str, name: str) -> Rows:
        kind = _text(group.attrs.get("kind", ""))
        if data not in group or "event_offsets" not in group:
            raise UserError(
                f"{self.path}: product {name} is of kind {kind or '(none)'} with {sorted(group)}; it has no `{data}` "
                "and `event_offsets`, so it cannot be used here"
            )
        offsets: Int64[np.ndarray, " E1"] = group["event_offsets"][:].astype(np.int64)
        good = len(offsets) == self.num_events + 1 and offsets[0] == 0 and not (np.diff(offsets) < 0).any()
        if not good or offsets[-1] != len(group[data]):
            raise UserError(
                f"{self.path}: the offsets of product {name} must grow from 0 to its {len(group[data])} rows over "
                f"{self.num_events} events; the file is damaged: make it again"
            )
        return Rows(group[data], offsets, name)


def _columns(metadata: dict[str, Any]) -> tuple[int, dict[str, int]]:
    """Number of coordinates, and place of each named feature."""
    if metadata.get("product_type") == "cluster_label":
        return 3, dict(_CLUSTER_FIELDS)
    named = (metadata.get("schema") or {}).get("feature_fields") or {}
    fields = {str(field): int(places[0]) for field, places in named.items() if places}
    return int(metadata.get("coordinate_width", 3)), fields


def _metadata(group: h5py.Group) -> dict[str, Any]:
    try:
        found = yaml.safe_load(_text(group.attrs.get("product_metadata", "{}"))) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"product_metadata is no YAML: {error}") from error
    if not isinstance(found, dict):
        raise TypeError("product_metadata is no mapping")
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

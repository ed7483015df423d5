"""One open HDF5 file of flat columns and offsets that another program wrote."""

from __future__ import annotations

import h5py
import numpy as np
from jaxtyping import Int64, Num

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers.files import damage_named, open_hdf5
from lartpc_sparse.schema import BadEventError, Config, UserError

__all__ = ["USUAL_LABELS", "ColumnsFile", "ColumnsLayout", "TableLayout"]

USUAL_LABELS = {
    "semantic": ("semantic",),
    "instance": ("instance", "fragment"),
    "fragment": ("fragment",),
    "group": ("group",),
    "interaction": ("interaction",),
    "pid": ("pid",),
}
"""Label -> names of data sets that have it, the first that is there."""


class TableLayout(Config):
    """Where the rows of a particle table are."""

    offsets: str
    columns: dict[str, tuple[str, ...]]


class ColumnsLayout(Config):
    """Where the columns of a file are; `labels` None: those of `USUAL_LABELS` that are there."""

    coords: str | tuple[str, ...]
    energy: str
    offsets: str
    labels: dict[str, str] | None
    particles: TableLayout | None


class ColumnsFile:
    """An open file with its offsets in memory.

    Args:
        path: of the file.
        layout: names of its data sets.

    Attributes:
        labels: label -> name of its data set.
        offsets: rows of event e are offsets[e] to offsets[e + 1].

    Raises:
        UserError: missing, not HDF5, damaged; a data set that is not there, of another shape or length; offsets that
            do not fit.
    """

    def __init__(self, path: str, layout: ColumnsLayout) -> None:
        self._path, self._layout = path, layout
        self._file = open_hdf5(path)
        try:
            with damage_named(path, "the layout"):
                self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> None:
        layout = self._layout
        names = (layout.coords,) if isinstance(layout.coords, str) else layout.coords
        self._coords = [self._data(name, "coords", (1, 2) if len(names) == 1 else (1,)) for name in names]
        self._energy = self._data(layout.energy, "energy", (1,))
        self.labels = self._found_labels() if layout.labels is None else layout.labels
        self._labels = {label: self._data(name, f"labels.{label}", (1,)) for label, name in self.labels.items()}
        columns = {data.name: data for data in (*self._coords, self._energy, *self._labels.values())}
        self.offsets = self._offsets(layout.offsets, "offsets", columns)
        self._tables: dict[str, h5py.Dataset] = {}
        if layout.particles is not None:
            self._tables = {name: self._data(name, "particles.columns", (1, 2)) for name in layout.particles.columns}
            for name, data in self._tables.items():
                width, wanted = data.shape[1] if data.ndim == 2 else 1, layout.particles.columns[name]
                if width != len(wanted):
                    raise UserError(
                        f"{self._path}: `{name}` has {width} columns, particles.columns names {len(wanted)}"
                    )
            self._table_offsets = self._offsets(layout.particles.offsets, "particles.offsets", self._tables)
            if len(self._table_offsets) != len(self.offsets):
                raise UserError(
                    f"{self._path}: `{layout.particles.offsets}` has {len(self._table_offsets)} entries, "
                    f"`{layout.offsets}` {len(self.offsets)}; both are one more than the events"
                )

    def _data(self, name: str, option: str, dims: tuple[int, ...]) -> h5py.Dataset:
        # Asked for first: the text of the error that `get` would swallow can be one that h5py cannot decode.
        found = self._file[name] if name in self._file else None  # noqa: SIM401  see above
        if not isinstance(found, h5py.Dataset):
            raise UserError(
                f"{self._path} has no data set `{name}` for {option}; it has "
                f"{', '.join(sorted(self._file)) or 'none'}: name the right one in `{option}`"
            )
        if found.dtype.kind not in "iuf" or len(found.shape) not in dims:
            raise UserError(
                f"{self._path}: `{name}` has type {found.dtype} and shape {found.shape}; {option} must be numbers with "
                f"{' or '.join(map(str, dims))} axes"
            )
        return found

    def _found_labels(self) -> dict[str, str]:
        found = {label: [name for name in names if name in self._file] for label, names in USUAL_LABELS.items()}
        return {label: names[0] for label, names in found.items() if names}

    def _offsets(self, name: str, option: str, columns: dict[str, h5py.Dataset]) -> Int64[np.ndarray, " E1"]:
        data = self._data(name, option, (1,))
        offsets: Int64[np.ndarray, " E1"] = data[:].astype(np.int64)
        whole = data.dtype.kind in "iu" and len(offsets) > 0
        if not whole or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise UserError(
                f"{self._path}: `{name}` is no list of offsets: whole numbers, one more than the events, from 0 on, "
                f"that never fall; rows of event e are {name}[e] to {name}[e + 1]"
            )
        wrong = {column: len(found) for column, found in columns.items() if len(found) != offsets[-1]}
        if wrong:
            raise UserError(f"{self._path}: `{name}` ends at {offsets[-1]}, but columns have other lengths: {wrong}")
        return offsets

    @property
    def dim(self) -> int:
        """Axes of the image."""
        if len(self._coords) > 1:
            return len(self._coords)
        return 1 if self._coords[0].ndim == 1 else int(self._coords[0].shape[1])

    def attribute(self, *names: str) -> Num[np.ndarray, " n"] | None:
        """The first attribute of the file that is there and is one or more numbers."""
        for name in names:
            with damage_named(self._path, f"attribute {name}"):
                value = np.atleast_1d(self._file.attrs[name]) if name in self._file.attrs else np.array([""])
            if value.dtype.kind in "iuf" and value.ndim == 1:
                return value
        return None

    def voxels(self, key: EventKey) -> dict[str, Num[np.ndarray, "N ..."]]:
        """`coords` (N, D), `energy` and the labels of one event, as stored.

        Raises:
            BadEventError: data that cannot be read.
        """
        rows = self._rows(self.offsets, key)
        with damage_named(key, "coords"):
            parts = [data[rows] for data in self._coords]
            found = {"coords": parts[0] if parts[0].ndim == 2 else np.stack(parts, axis=1)}
        for name, data in {"energy": self._energy, **self._labels}.items():
            with damage_named(key, name):
                found[name] = data[rows]
        return found

    def particles(self, key: EventKey) -> dict[str, Num[np.ndarray, " P"]]:
        """The particle table of one event; empty where none is asked for.

        Raises:
            BadEventError: data that cannot be read.
        """
        if self._layout.particles is None:
            return {}
        rows, found = self._rows(self._table_offsets, key), {}
        for table, names in self._layout.particles.columns.items():
            with damage_named(key, table):
                values = self._tables[table][rows].reshape(-1, len(names))
            found.update({name: values[:, place].copy() for place, name in enumerate(names)})
        return found

    def _rows(self, offsets: Int64[np.ndarray, " E1"], key: EventKey) -> slice:
        if key.entry >= len(offsets) - 1:
            raise BadEventError(
                f"{key}: the file has {len(offsets) - 1} events; it has changed since the reader was made"
            )
        return slice(int(offsets[key.entry]), int(offsets[key.entry + 1]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""Reader of the larcv3 files that this project wrote: bit for bit the events that were written.

The layout is that of `lartpc_sparse.data.larcv_file`.
"""

from __future__ import annotations

import json

import h5py
import numpy as np
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.larcv_tables import ENERGY, FORMAT, FORMAT_VERSION, OWN_GROUP, column_product
from lartpc_sparse.data.readers.base import check_energy, check_semantic
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.file_counter import FileCounter, joined_voxels
from lartpc_sparse.data.readers.files import EventIndex, IndexedEvents, OpenFiles, damage_named, open_hdf5
from lartpc_sparse.data.readers.larcv_hdf5_file import Hdf5File, read_rows
from lartpc_sparse.data.readers.larcv_raw import Voxels
from lartpc_sparse.data.readers.larcv_truth import image_size_differs
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["LarcvOwnReader", "has_own_group"]


def has_own_group(path: str) -> bool:
    """Whether this project wrote the file.

    Raises:
        UserError: the file cannot be opened.
    """
    with FileCounter([path], _visit_layout, "larcv layout 1") as counter:  # the answer is kept for the next start
        return bool(json.loads(counter.count(path).facts))


class _OwnFile:
    """One open file: what larcv knows (`larcv`) and what it does not."""

    def __init__(self, path: str) -> None:
        self.larcv = Hdf5File(path, projection=0)
        self._file = open_hdf5(path)
        with damage_named(path, f"the group {OWN_GROUP}"):
            group = self._file[OWN_GROUP]
            version = int(group.attrs["format_version"])
            if group.attrs["format"] != FORMAT or version > FORMAT_VERSION:
                raise UserError(
                    f"{path} is {group.attrs['format']} version {version}, this package reads {FORMAT} up to "
                    f"{FORMAT_VERSION}: upgrade it"
                )
            self.classes = tuple(str(name) for name in json.loads(group.attrs["classes"]))
            self.labels = {str(name): np.dtype(kind) for name, kind in json.loads(group.attrs["labels"]).items()}
            self.image_size = tuple(int(size) for size in group.attrs["image_size"])
            size = float(group.attrs.get("voxel_size_mm", np.nan))
            self.voxel_size_mm = size if np.isfinite(size) else None
            dim = len(self.image_size)
            self.energy = f"sparse{dim}d_{ENERGY}"
            self.columns = {name: column_product(name, dim) for name in self.labels}
            self.num_events = self.larcv.num_events(self.energy)
            self.order, self.order_offsets = group["order"], self._offsets(path, "order")
            self.particles: dict[str, h5py.Dataset] = dict(group.get("particles", {}))
            self.particle_offsets = self._offsets(path, "particle")
            exact = group.get("exact", {})
            self.exact = {name: read_rows(data, 0, len(data)) for name, data in exact.items()}
            self.first = self.larcv.num_voxels(self.energy, 0, self.num_events).cumsum()

    def _offsets(self, path: str, name: str) -> Int64[np.ndarray, " E1"]:
        data = self._file[f"{OWN_GROUP}/{name}_offsets"]
        offsets = read_rows(data, 0, len(data)).astype(np.int64)
        if len(offsets) != self.num_events + 1 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
            raise UserError(f"{path}: `{name}_offsets` must start at 0 and grow over the events; make the file again")
        return offsets

    def close(self) -> None:
        """Close the file."""
        self.larcv.close()
        self._file.close()


class LarcvOwnReader(IndexedEvents):
    """Events of larcv3 files that this project wrote.

    Args:
        files: paths, in order.
        select: use the events start..stop-1.
        limit: use the first n of them.

    Attributes:
        voxel_size_mm: edge of a voxel, as the first file has it; None: not known.

    Raises:
        UserError: a file that is missing, damaged or of another format, or files whose classes or image sizes differ.
    """

    def __init__(
        self, files: tuple[str, ...], *, select: tuple[int, int] | None = None, limit: int | None = None
    ) -> None:
        self._first = files[0]
        self._header: tuple[tuple[str, ...], tuple[int, ...]] | None = None
        with FileCounter(files, _visit, "lartpc_sparse larcv 1") as counter:
            self._index = EventIndex.build(files, lambda path: self._checked(path, counter.count(path)), select, limit)
        self.voxel_size_mm: float | None = json.loads(counter.count(self._first).facts)["voxel_size_mm"]
        counts = {path: counter.count(path).num_voxels for path in self._index.files}
        spans = [counts[path][first:last] for path, first, last in self._index.spans()]  # type: ignore[index]
        self._num_voxels = joined_voxels(spans)
        self._files = OpenFiles(_OwnFile)

    def _checked(self, path: str, count: FileCount) -> int:
        """Number of events of a file that goes together with the first one."""
        facts = json.loads(count.facts)
        header = tuple(facts["classes"]), tuple(facts["image_size"])
        self._header = self._header or header
        if header != self._header:
            raise UserError(
                f"{path} has classes {header[0]} and image size {header[1]}, but {self._first} has "
                f"{self.classes} and {self.image_size}; read them separately"
            )
        return count.num_events

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        assert self._header is not None  # the constructor has counted at least one file
        return self._header[1]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names of the label `semantic`."""
        assert self._header is not None
        return self._header[0]

    def event_id(self, index: int) -> tuple[int, int, int]:
        """Run, subrun and event number of an event."""
        key = self._index.key(index)
        file = self._files.get(key.file)
        return file.larcv.event_id(file.energy, key)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event."""
        return self._num_voxels

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: data that cannot be read or do not fit together.
            UserError: the file is damaged.
        """
        key = self._index.key(index)
        file = self._files.get(key.file)
        if (file.classes, file.image_size) != self._header or key.entry >= file.num_events:
            raise UserError(f"{key.file} has changed since the reader was made")
        energy = file.larcv.voxels(file.energy, key)
        if len(energy.ids) and energy.grid.image_size != self.image_size:
            raise image_size_differs(key, file.energy, energy.grid.image_size, self.image_size)
        check_energy(key, energy.values)
        coords = energy.grid.coords(energy.ids, key, file.energy)
        labels = {name: _label(file, name, energy, key) for name in file.labels}
        place = _order(file, key, len(coords))
        if place is not None:
            coords, labels = coords[place], {name: column[place] for name, column in labels.items()}
        if "semantic" in labels:
            check_semantic(key, labels["semantic"], self.classes)
        return Event(
            key=key,
            coords=coords,
            energy=energy.values if place is None else energy.values[place],
            image_size=self.image_size,
            classes=self.classes,
            labels=labels,
            particles=_particles(file, key),
        )


def _visit(path: str) -> FileCount:
    file = _OwnFile(path)
    try:
        facts = {"classes": file.classes, "image_size": file.image_size, "voxel_size_mm": file.voxel_size_mm}
        counts = file.larcv.num_voxels(file.energy, 0, file.num_events)
        return FileCount(file.num_events, counts, json.dumps(facts))
    finally:
        file.close()


def _visit_layout(path: str) -> FileCount:
    with open_hdf5(path) as file, damage_named(path, f"the group {OWN_GROUP}"):
        own = OWN_GROUP in file and file[OWN_GROUP].attrs.get("format") == FORMAT
    return FileCount(0, None, json.dumps(bool(own)))


def _label(file: _OwnFile, name: str, energy: Voxels, key: EventKey) -> Shaped[np.ndarray, " N"]:
    """A label column in the order of the file, in its own type."""
    column = file.larcv.voxels(file.columns[name], key)
    if not np.array_equal(column.ids, energy.ids):
        raise BadEventError(f"{key}: {file.columns[name]} has other voxels than {file.energy}; make the file again")
    if file.labels[name].kind == "f":
        return column.values
    with damage_named(key, f"label {name}"):
        if not (np.abs(column.values) <= 2.0**62).all():
            raise ValueError("it is not a whole number")
        label: np.ndarray = column.values.astype(np.int64)
        exact = file.exact.get(name, np.zeros(0, dtype=[("row", "<i8"), ("value", "<i8")]))
        first = int(file.first[key.entry]) - len(label)
        begin, end = np.searchsorted(exact["row"], (first, first + len(label)))
        label[exact["row"][begin:end] - first] = exact["value"][begin:end]
        return label


def _order(file: _OwnFile, key: EventKey, num_voxels: int) -> Int64[np.ndarray, " N"] | None:
    """Row in the event -> row in the file; None: they are the same."""
    first, last = (int(offset) for offset in file.order_offsets[key.entry : key.entry + 2])
    if first == last:
        return None
    with damage_named(key, "order"):
        place = read_rows(file.order, first, last - first).astype(np.int64)
        if not np.array_equal(np.sort(place), np.arange(num_voxels)):
            raise ValueError("it is not an order of the voxels")
        return place


def _particles(file: _OwnFile, key: EventKey) -> dict[str, Shaped[np.ndarray, "P ..."]]:
    first, last = (int(offset) for offset in file.particle_offsets[key.entry : key.entry + 2])
    columns = {}
    for name, data in file.particles.items():
        with damage_named(key, f"particle column {name}"):
            columns[name] = read_rows(data, first, last - first)
    return columns

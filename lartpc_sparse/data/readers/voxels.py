"""Reader of the project's own event files (see `lartpc_sparse.data.voxel_file`)."""

from __future__ import annotations

from typing import Literal

import h5py
import numpy as np
from jaxtyping import Int64
from pydantic import Field

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.base import check_energy, check_semantic, whole_coords
from lartpc_sparse.data.readers.files import (
    EventIndex,
    FileReaderConfig,
    OpenFiles,
    damage_named,
    open_hdf5,
    resolve_files,
)
from lartpc_sparse.data.readers.voxel_header import VoxelHeader, read_header, read_offsets
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["VoxelsConfig", "VoxelsReader"]


class _VoxelFile:
    """One open file with its offsets."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_hdf5(path)
        self.header = read_header(self._file, path)
        with damage_named(path, "the layout"):
            self.coords, self.energy = self._file["coords"], self._file["energy"]
            self.labels = self._group("labels")
            self.particles = self._group("particles")
            self.offsets = self._offsets("offsets", {"coords": self.coords, "energy": self.energy, **self.labels})
            self.particle_offsets = self._offsets("particle_offsets", self.particles)
            axes = (len(self.coords), len(self.header.image_size))
            if self.coords.shape != axes:
                raise UserError(f"{path}: coords have shape {self.coords.shape}, expected {axes}; the file is damaged")

    def _group(self, name: str) -> dict[str, h5py.Dataset]:
        return dict(self._file[name].items()) if name in self._file else {}

    def _offsets(self, name: str, columns: dict[str, h5py.Dataset]) -> Int64[np.ndarray, " E1"]:
        offsets = read_offsets(self._file, name, self._path)
        wrong = {column: len(data) for column, data in columns.items() if len(data) != offsets[-1]}
        if wrong:
            raise UserError(
                f"{self._path}: `{name}` ends at {offsets[-1]}, but columns have other lengths: {wrong}; "
                "make the file again"
            )
        return offsets

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class VoxelsConfig(FileReaderConfig):
    """Files of the project's own format, as the packaged sample and `simulate` have it."""

    kind: Literal["voxels"] = "voxels"
    labels: tuple[str, ...] | None = Field(
        default=None, description="label columns to read; all by default, fewer read faster"
    )
    particles: bool = Field(default=True, description="read the particle table")

    def build(self) -> VoxelsReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        files = resolve_files(self.files)
        return VoxelsReader(files, select=self.select, limit=self.limit, labels=self.labels, particles=self.particles)


class VoxelsReader:
    """Events of files of the project's own format.

    Construction opens the files one after the other and reads their headers only (about a millisecond a file on a
    local disk), and none after the last event wanted. Offsets are read at the first event of a file.

    Args:
        files: paths, in order.
        select: use the events start..stop-1.
        limit: use the first n of them.
        labels: label columns to read; None: all.
        particles: read the particle table.

    Raises:
        UserError: a file that is missing, damaged or of another format, or files whose classes or image sizes differ.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        *,
        select: tuple[int, int] | None = None,
        limit: int | None = None,
        labels: tuple[str, ...] | None = None,
        particles: bool = True,
    ) -> None:
        self._label_names, self._with_particles = labels, particles
        self._header: VoxelHeader | None = None
        self._first = files[0]
        self._index = EventIndex.build(files, self._count, select, limit)
        self._files = OpenFiles(_VoxelFile)
        self._num_voxels: np.ndarray | None = None

    def _count(self, path: str) -> int:
        with open_hdf5(path) as file, damage_named(path, "the header"):
            header = read_header(file, path)
            missing = [name for name in self._label_names or () if f"labels/{name}" not in file]
            if missing and len(file["coords"]):
                names = sorted(file["labels"]) if "labels" in file else []
                raise UserError(f"{path} has no labels {missing}; it has {names}")
        first = self._header = self._header or header
        if (header.classes, header.image_size) != (first.classes, first.image_size):
            raise UserError(
                f"{path} has classes {header.classes} and image size {header.image_size}, but {self._first} has "
                f"{first.classes} and {first.image_size}; read them separately"
            )
        return header.num_events

    @property
    def header(self) -> VoxelHeader:
        """What the first file says about its events."""
        assert self._header is not None  # the constructor has counted at least one file
        return self._header

    @property
    def files(self) -> tuple[str, ...]:
        """Paths, in order."""
        return self._index.files

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.header.image_size

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the semantic labels."""
        return self.header.classes

    def __len__(self) -> int:
        return len(self._index)

    def key(self, index: int) -> EventKey:
        """File and entry of an event."""
        return self._index.key(index)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event, from the offsets of the files."""
        if self._num_voxels is None:
            spans = [_count_voxels(path)[first:last] for path, first, last in self._index.spans()]
            self._num_voxels = np.concatenate([np.zeros(0, dtype=np.int64), *spans])
        return self._num_voxels

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: damaged data, coordinates outside the image, energies that are not finite, unknown classes.
            UserError: the file is damaged.
        """
        key = self._index.key(index)
        file = self._files.get(key.file)
        if file.header.image_size != self.image_size or file.header.classes != self.classes:
            raise UserError(f"{key.file} has changed since the reader was made")
        rows = _rows(file.offsets, key)
        names = list(file.labels) if self._label_names is None else self._label_names
        coords = whole_coords(key, _column(file.coords, rows, key, "coords"), self.image_size)
        energy = _column(file.energy, rows, key, "energy").astype(np.float32, copy=False)
        check_energy(key, energy)
        labels = {name: _label(file, name, rows, key) for name in names}
        if "semantic" in labels:
            check_semantic(key, labels["semantic"], self.classes)
        particles: dict[str, np.ndarray] = {}
        if self._with_particles:
            table = _rows(file.particle_offsets, key)
            particles = {name: _column(data, table, key, name) for name, data in file.particles.items()}
        return Event(
            key=key,
            coords=coords,
            energy=energy,
            image_size=self.image_size,
            classes=self.classes,
            labels=labels,
            particles=particles,
        )


def _count_voxels(path: str) -> Int64[np.ndarray, " E"]:
    with open_hdf5(path) as file:
        return np.diff(read_offsets(file, "offsets", path))


def _rows(offsets: Int64[np.ndarray, " E1"], key: EventKey) -> slice:
    if key.entry >= len(offsets) - 1:
        raise BadEventError(f"{key}: the file has {len(offsets) - 1} events; it has changed since the reader was made")
    return slice(int(offsets[key.entry]), int(offsets[key.entry + 1]))


def _column(data: h5py.Dataset, rows: slice, key: EventKey, name: str) -> np.ndarray:
    with damage_named(key, name):
        column: np.ndarray = data[rows]
    return column


def _label(file: _VoxelFile, name: str, rows: slice, key: EventKey) -> np.ndarray:
    """A label column; whole numbers as int64, as `Event` has them."""
    if name not in file.labels:  # a file of nothing but empty events need not have it
        return np.zeros(rows.stop - rows.start, dtype=np.int64)
    column = _column(file.labels[name], rows, key, name)
    return column if column.dtype.kind == "f" else column.astype(np.int64)

"""Reader of the project's own event files (see `lartpc_sparse.data.voxel_file`)."""

from __future__ import annotations

import dataclasses
import json
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.base import check_energy, check_semantic, whole_coords
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.counted_events import counted_voxels
from lartpc_sparse.data.readers.file_counter import FileCounter
from lartpc_sparse.data.readers.files import (
    EventIndex,
    FileReaderConfig,
    IndexedEvents,
    OpenFiles,
    damage_named,
    open_hdf5,
    resolve_files,
)
from lartpc_sparse.data.readers.open_voxel_file import VoxelFile
from lartpc_sparse.data.readers.voxel_header import VoxelHeader, read_header, read_offsets
from lartpc_sparse.schema import UserError

__all__ = ["VoxelsConfig", "VoxelsReader"]


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


class VoxelsReader(IndexedEvents):
    """Events of files of the project's own format.

    Construction opens the files that have changed since they were last counted, for their headers and offsets (about
    a millisecond a file on a local disk), and none after the last event wanted; see `FileCounter`.

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
        with FileCounter(files, _visit, "voxels 1") as counter:
            self._index = EventIndex.build(files, lambda path: self._checked(path, counter.count(path)), select, limit)
            self._num_voxels = counted_voxels(self._index, counter)
        self._files = OpenFiles(VoxelFile)

    def _checked(self, path: str, count: FileCount) -> int:
        """Number of events of a file that goes together with the first one."""
        facts = json.loads(count.facts)
        header, names = VoxelHeader.from_facts(facts["header"]), facts["labels"]
        missing = [name for name in self._label_names or () if name not in names]
        if missing and facts["voxels"]:
            raise UserError(f"{path} has no labels {missing}; it has {names}")
        first = self._header = self._header or header
        if (header.classes, header.image_size) != (first.classes, first.image_size):
            raise UserError(
                f"{path} has classes {header.classes} and image size {header.image_size}, but {self._first} has "
                f"{first.classes} and {first.image_size}; read them separately"
            )
        return count.num_events

    @property
    def header(self) -> VoxelHeader:
        """What the first file says about its events."""
        assert self._header is not None  # the constructor has counted at least one file
        return self._header

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.header.image_size

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the semantic labels."""
        return self.header.classes

    @property
    def voxel_size_mm(self) -> float | None:
        """Edge of a voxel; None: not known."""
        size = self.header.voxel_size_mm
        return None if np.isnan(size) else size

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event, from the offsets of the files."""
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
        wanted = file.labels if self._label_names is None else self._label_names
        columns = file.voxels(key, [name for name in wanted if name in file.labels])
        stored, energy = columns.pop("coords"), columns.pop("energy").astype(np.float32, copy=False)
        if file.known_good is not None and file.known_good[key.entry]:
            coords = stored.astype(np.int32, copy=False)
        else:
            coords = whole_coords(key, stored, self.image_size)
            check_energy(key, energy)
            if "semantic" in columns:
                check_semantic(key, columns["semantic"], self.classes)
            if file.known_good is not None:
                file.known_good[key.entry] = True
        for name in self._label_names or ():  # a file of nothing but empty events need not have them
            columns.setdefault(name, np.zeros(len(coords), dtype=np.int64))
        return Event(
            key=key,
            coords=coords,
            energy=energy,
            image_size=self.image_size,
            classes=self.classes,
            labels={name: _whole(column) for name, column in columns.items()},
            particles=file.particles(key) if self._with_particles else {},
        )


def _visit(path: str) -> FileCount:
    with open_hdf5(path) as file, damage_named(path, "the header"):
        header = read_header(file, path)
        offsets = read_offsets(file, "offsets", path)
        facts = {
            "header": dataclasses.asdict(header),
            "labels": sorted(file["labels"]) if "labels" in file else [],
            "voxels": len(file["coords"]),
        }
    return FileCount(header.num_events, np.diff(offsets), json.dumps(facts))


def _whole(column: np.ndarray) -> np.ndarray:
    """Whole numbers as int64, as `Event` has them."""
    return column if column.dtype.kind == "f" else column.astype(np.int64, copy=False)

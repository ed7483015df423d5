"""Reader of PILArNet-M HDF5 files, versions 1 to 3 (the public data set of DeepLearnPhysics, arXiv:2006.01993).

One flat array per event and data set: `point` (rows of 8: x, y, z, voxel value MeV, energy deposit MeV, time ns,
electrons, dx mm), `cluster` (n_points, fragment, group, interaction, semantic, and pid from version 2 on),
`cluster_extra` and, in some version 3 files, `cluster_extra_2` and `interaction_extra`. Points are ordered by cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from lartpc_sparse.data.classes import PILARNET, SIX
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.files import (
    EventIndex,
    FileReaderConfig,
    OpenFiles,
    damage_named,
    open_hdf5,
    resolve_files,
)
from lartpc_sparse.data.readers.pilarnet_event import decode
from lartpc_sparse.data.readers.pilarnet_layout import (
    LAYOUTS,
    POINT_WIDTH,
    TABLES,
    Layout,
    Version,
    count_events,
    open_tables,
    read_tables,
    recover_layout,
)
from lartpc_sparse.data.readers.vlen_table import VlenTable
from lartpc_sparse.schema import UserError

__all__ = ["PilarnetConfig", "PilarnetReader"]

_COUNT_AT_ONCE = 1024


class PilarnetConfig(FileReaderConfig):
    """PILArNet-M files (`point`, `cluster`, ...).

    A file `<name>_points.npy` beside `<name>.h5` is used for the number of points per event if it is there.
    """

    kind: Literal["pilarnet"] = "pilarnet"
    version: Version = Field(default="auto", description="layout; auto: recovered from the row widths of each file")
    image_size: tuple[int, int, int] = Field(default=(768, 768, 768), description="voxels along each axis")

    def build(self) -> PilarnetReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        return PilarnetReader(
            resolve_files(self.files),
            version=self.version,
            image_size=self.image_size,
            select=self.select,
            limit=self.limit,
        )


class _PilarnetFile:
    """One open file with its data sets."""

    def __init__(self, path: str) -> None:
        self._file = open_hdf5(path)
        self.tables = open_tables(self._file, path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class PilarnetReader:
    """Events of PILArNet-M files.

    Construction opens the files one after the other for their number of events (about half a millisecond a file on
    a local disk), and none after the last event wanted; it looks at events of the first file only, for the classes.

    Args:
        files: paths, in order.
        version: layout; `auto` recovers it from the row widths of each file.
        image_size: voxels along each axis.
        select: use the events start..stop-1.
        limit: use the first n of them.

    Raises:
        UserError: a file that is missing, damaged or of another layout; all events are empty and version is `auto`.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        *,
        version: Version = "auto",
        image_size: tuple[int, ...] = (768, 768, 768),
        select: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> None:
        self._image_size = tuple(image_size)
        self._index = EventIndex.build(files, _count_file, select, limit)
        self._version = version
        self._files = OpenFiles(_PilarnetFile)
        self._num_voxels: np.ndarray | None = None
        self._layouts: dict[str, Layout | None] = {}
        self._layout = self._first_layout()

    def _first_layout(self) -> Layout:
        """Layout of the first file that is not empty; it decides the classes."""
        found = (self._recovered(path) for path in self._index.files)
        forced = next((layout for layout in LAYOUTS if layout.version == self._version), None)
        layout = next((layout for layout in found if layout), forced)
        self._files.close()  # nothing stays open that a forked worker could inherit
        if layout is None:
            raise UserError(
                f"{self._index.files[0]} and the files after it hold no voxels, so that the layout cannot be told; "
                "give the reader `version`, or correct `files`"
            )
        return layout

    def _recovered(self, path: str) -> Layout | None:
        """Layout of a file, remembered; None when all its events are empty."""
        if path not in self._layouts:
            self._layouts[path] = recover_layout(self._files.get(path).tables, path, self._version)
        return self._layouts[path]

    @property
    def files(self) -> tuple[str, ...]:
        """Paths, in order."""
        return self._index.files

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._image_size

    @property
    def classes(self) -> tuple[str, ...]:
        """The six classes when clusters have a pid, else PILArNet's five."""
        return SIX if self._layout.has_pid else PILARNET

    @property
    def version(self) -> str:
        """Layout of the first file: v1, v2 or v3."""
        return self._layout.version

    def __len__(self) -> int:
        return len(self._index)

    def key(self, index: int) -> EventKey:
        """File and entry of an event."""
        return self._index.key(index)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Points of every event.

        From the side file `*_points.npy`; else from the stored lengths; else, when those are compressed, from the
        cluster tables, which are read for that.

        Raises:
            UserError: a side file that does not belong to its file, or a damaged cluster table.
        """
        if self._num_voxels is None:
            spans = [self._count_points(*span) for span in self._index.spans()]
            self._num_voxels = np.concatenate([np.zeros(0, dtype=np.int64), *spans])
        return self._num_voxels

    def _count_points(self, path: str, first: int, last: int) -> Int64[np.ndarray, " E"]:
        side = Path(path).with_name(Path(path).stem + "_points.npy")
        if side.is_file():
            return _side_counts(side, path)[first:last]
        with open_hdf5(path) as file, damage_named(path, "point"):
            lengths = VlenTable(file["point"]).lengths
        if lengths is not None:
            return lengths[first:last] // POINT_WIDTH
        width = len((self._recovered(path) or self._layout).cluster)
        clusters_of = self._files.get(path).tables["cluster"]
        counts = []
        with damage_named(path, "cluster"):
            for start in range(first, last, _COUNT_AT_ONCE):
                block = clusters_of[start : min(start + _COUNT_AT_ONCE, last)]
                counts += [int(clusters[::width].sum()) for clusters in block]
        return np.array(counts, dtype=np.int64)

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: see `decode`; or data that cannot be read.
            UserError: the file is damaged, or its classes are not those of the first file.
        """
        key = self._index.key(index)
        layout = self._recovered(key.file) or self._layout
        if layout.has_pid != self._layout.has_pid:
            raise UserError(
                f"{key.file} is {layout.version}, but the first file {self._layout.version}: their classes differ; "
                "read them separately"
            )
        with damage_named(key, "/".join(TABLES)):
            tables = read_tables(self._files.get(key.file).tables, key.entry)
        return decode(tables, layout, key, self._image_size)


def _count_file(path: str) -> int:
    with open_hdf5(path) as file:
        return count_events(file, path)


def _side_counts(side: Path, path: str) -> Int64[np.ndarray, " E"]:
    with damage_named(str(side), "the number of points"):
        counts: np.ndarray = np.load(side).astype(np.int64)
    num_events = _count_file(path)
    if counts.shape != (num_events,) or (counts < 0).any():
        raise UserError(
            f"{side} has shape {counts.shape} for {num_events} events of {path}, or negative counts; delete it, the "
            "reader counts without it"
        )
    return counts

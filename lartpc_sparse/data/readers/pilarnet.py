"""Reader of PILArNet-M HDF5 files, versions 1 to 3 (the public data set of DeepLearnPhysics, arXiv:2006.01993).

One flat array per event and data set: `point` (rows of 8: x, y, z, voxel value MeV, energy deposit MeV, time ns,
electrons, dx mm), `cluster` (n_points, fragment, group, interaction, semantic, and pid from version 2 on),
`cluster_extra` and, in some version 3 files, `cluster_extra_2` and `interaction_extra`. Points are ordered by cluster.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from lartpc_sparse.data.classes import PILARNET, SIX
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.file_counter import FileCounter, joined_voxels
from lartpc_sparse.data.readers.files import (
    EventIndex,
    FileReaderConfig,
    IndexedEvents,
    OpenFiles,
    damage_named,
    resolve_files,
)
from lartpc_sparse.data.readers.pilarnet_counts import (
    PilarnetFile,
    side_counts,
    side_file,
    visit_clusters,
    visit_layout,
    visit_points,
)
from lartpc_sparse.data.readers.pilarnet_event import PointLabel, decode
from lartpc_sparse.data.readers.pilarnet_layout import (
    LAYOUTS,
    TABLES,
    Layout,
    Version,
    read_tables,
    recover_layout,
)
from lartpc_sparse.schema import UserError

__all__ = ["PilarnetConfig", "PilarnetReader"]


class PilarnetConfig(FileReaderConfig):
    """PILArNet-M files (`point`, `cluster`, ...).

    A file `<name>_points.npy` beside `<name>.h5` is used for the number of points per event if it is there.
    """

    kind: Literal["pilarnet"] = "pilarnet"
    version: Version = Field(default="auto", description="layout; auto: recovered from the row widths of each file")
    image_size: tuple[int, int, int] = Field(default=(768, 768, 768), description="voxels along each axis")
    point_labels: tuple[PointLabel, ...] = Field(
        default=(), description="columns of the points to keep as labels: deposit (MeV), time (ns), electrons, dx (mm)"
    )

    def build(self) -> PilarnetReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        return PilarnetReader(
            resolve_files(self.files),
            version=self.version,
            image_size=self.image_size,
            point_labels=self.point_labels,
            select=self.select,
            limit=self.limit,
        )


class PilarnetReader(IndexedEvents):
    """Events of PILArNet-M files.

    Construction opens the files that have changed since they were last counted (about half a millisecond a file on a
    local disk), and none after the last event wanted; it looks at events of the first file only, for the classes.

    Args:
        files: paths, in order.
        version: layout; `auto` recovers it from the row widths of each file.
        image_size: voxels along each axis.
        point_labels: see `decode`.
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
        point_labels: Sequence[PointLabel] = (),
        select: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> None:
        self._image_size = tuple(image_size)
        self._point_labels = tuple(point_labels)
        with FileCounter(files, visit_points, "pilarnet 1") as counter:
            self._index = EventIndex.build(files, counter.num_events, select, limit)
        self._counts = {path: counter.count(path) for path in self._index.files}
        self._version = version
        self._files = OpenFiles(PilarnetFile)
        self._num_voxels: np.ndarray | None = None
        self._layouts: dict[str, Layout | None] = {}
        self._layout = self._first_layout()

    def _first_layout(self) -> Layout:
        """Layout of the first file that is not empty; it decides the classes."""
        visit = partial(visit_layout, version=self._version)
        layout = next((layout for layout in LAYOUTS if layout.version == self._version), None)
        with FileCounter(self._index.files, visit, f"pilarnet layout 1 {self._version}") as counter:
            for path in self._index.files:
                found = json.loads(counter.count(path).facts)
                if found is not None:
                    layout = self._layouts[path] = LAYOUTS[found]
                    break
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

    @property
    def voxel_size_mm(self) -> float:
        """Edge of a voxel, the same in all PILArNet files."""
        return 3.0

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Points of every event.

        From the side file `*_points.npy`; else from the stored lengths; else, when those are compressed, from the
        cluster tables, which are read for that.

        Raises:
            UserError: a side file that does not belong to its file, or a damaged cluster table.
        """
        if self._num_voxels is None:
            spans = list(self._index.spans())
            slow = [path for path, _, _ in spans if self._counts[path].num_voxels is None and side_file(path) is None]
            visit = partial(visit_clusters, version=self._version)
            with FileCounter(slow, visit, f"pilarnet points 1 {self._version}") as counter:
                for path in slow:
                    self._counts[path] = counter.count(path)
            self._num_voxels = joined_voxels([self._points(path)[first:last] for path, first, last in spans])
        return self._num_voxels

    def _points(self, path: str) -> Int64[np.ndarray, " E"]:
        side = side_file(path)
        if side is not None:
            return side_counts(side, path, self._counts[path].num_events)
        counts = self._counts[path].num_voxels
        assert counts is not None  # counted above
        return counts

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
        return decode(tables, layout, key, self._image_size, self._point_labels)

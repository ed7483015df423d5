"""Streaming writer of larcv3 files that the `larcv` package opens, and that keep the event bit for bit.

Products, each with one row of voxels an event, sorted by voxel id (D = 3; for images of two axes, `sparse2d` and
`cluster2d`):

| product | values |
|---|---|
| `sparse3d_pcluster` | energy |
| `sparse3d_pcluster_semantics` | class as larcv2 shape, 6 for not labelled; if the classes have such names |
| `cluster3d_pcluster` | voxel sets of the label `instance` with their energy, and a catch-all at the end |
| `particle_pcluster` | the particle table, as far as larcv has such columns |
| `sparse3d_column_<label>` | every label column, as float |

The group `lartpc_sparse` holds what larcv has no place for, and `kind: larcv_hdf5` reads it: `order` and
`order_offsets` (E+1), for events that are not sorted, row in the event -> place in the sorted event; `exact/<label>`,
the values that a float cannot hold, as (row of `voxels`, value); `particles/<column>` as given, and
`particle_offsets` (E+1). Its attributes: `format`, `format_version`, `classes` and `labels` (JSON), `image_size`,
`voxel_size_mm` (NaN: not known), `origin`, and who wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.event_schema import EventSchema
from lartpc_sparse.data.larcv_output import (
    ClusterOutput,
    ParticleOutput,
    SparseOutput,
    meta_row,
    shape_table,
    voxel_ids,
)
from lartpc_sparse.data.larcv_tables import (
    CLUSTERS,
    ENERGY,
    EVENT_ID,
    EXACT,
    FORMAT,
    FORMAT_VERSION,
    OWN_GROUP,
    PARTICLES,
    SHAPES,
    GrowingTable,
    column_product,
)
from lartpc_sparse.provenance import provenance

__all__ = ["LarcvFileWriter"]

_LARGEST_WHOLE_FLOAT = 2**24
_NAME = re.compile(r"\w{1,64}", re.ASCII)


class LarcvFileWriter:
    """Writes events one after the other, in bounded memory; the file appears at `path` when it is complete.

    The protocol is that of `VoxelFileWriter`. Voxels that occur twice in an event are kept, but larcv adds them up
    when it reads the file.

    Args:
        path: the file; its folder is made if need be, an older file is replaced.
        image_size: voxels along each axis, two or three, the same for all events.
        classes: names of the values 0, 1, ... of the label `semantic`.
        voxel_size_mm: edge of a voxel; larcv gets it in cm, or 1 if it is not known.
        origin: where the events come from, free text.
        attributes: further attributes of the group `lartpc_sparse`.

    Raises:
        ValueError: an image of other than two or three axes.

    Example:
        >>> with LarcvFileWriter("events.h5", image_size=(64, 64, 64), classes=("shower",)) as writer:  # doctest: +SKIP
        ...     writer.write(event)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        image_size: tuple[int, ...],
        classes: tuple[str, ...],
        voxel_size_mm: float | None = None,
        origin: str = "",
        attributes: Mapping[str, str | int | float] | None = None,
    ) -> None:
        if len(image_size) not in (2, 3):
            raise ValueError(f"larcv has images of two or three axes, not of size {tuple(image_size)}")
        self._path = Path(path)
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._image_size, self._classes = tuple(image_size), tuple(classes)
        self._schema = EventSchema(self._path, self._image_size, self._classes)
        self._attributes = {
            **(attributes or {}),
            **provenance(),
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "classes": json.dumps(self._classes),
            "image_size": np.array(self._image_size, dtype=np.int64),
            "voxel_size_mm": float("nan") if voxel_size_mm is None else float(voxel_size_mm),
            "origin": origin,
        }
        self._meta_row = meta_row(self._image_size, 1.0 if voxel_size_mm is None else voxel_size_mm / 10)
        self._shape_of_class = shape_table(self._classes)
        self._num_events = self._num_voxels = 0

    def __enter__(self) -> LarcvFileWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w", libver=("v110", "v110"))
        dim = len(self._image_size)
        self._energy = SparseOutput(self._file, f"sparse{dim}d_{ENERGY}", self._meta_row)
        self._particles = ParticleOutput(self._file, f"particle_{PARTICLES}")
        self._event_ids = GrowingTable(self._file, "Events/event_id", EVENT_ID)
        self._shapes: SparseOutput | None = None
        self._clusters: ClusterOutput | None = None
        self._columns: dict[str, SparseOutput] = {}
        self._exact: dict[str, GrowingTable] = {}
        self._particle_columns: dict[str, GrowingTable] = {}
        whole = np.dtype(np.int64)
        self._order = GrowingTable(self._file, f"{OWN_GROUP}/order", whole, rows=16384)
        self._order_offsets = GrowingTable(self._file, f"{OWN_GROUP}/order_offsets", whole)
        self._particle_offsets = GrowingTable(self._file, f"{OWN_GROUP}/particle_offsets", whole)
        for offsets in (self._order_offsets, self._particle_offsets):
            offsets.append(np.zeros(1))
        self._num_particles = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complete = False
        try:
            if kind is None:
                for output in self._outputs():
                    output.close()
                labels = {name: dtype.name for name, dtype in (self._schema.labels or {}).items()}
                self._file[OWN_GROUP].attrs.update({**self._attributes, "labels": json.dumps(labels)})
                complete = True
        finally:
            self._file.close()
            if complete:
                self._partial.replace(self._path)
            else:
                self._partial.unlink(missing_ok=True)

    def __len__(self) -> int:
        return self._num_events

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            ValueError: the event differs from the file in image size, classes or columns, has coordinates outside
                the image, energies that are not finite, or a column whose name is not a word. The file is as before.
        """
        bad = [name for name in (*event.labels, *event.particles) if not _NAME.fullmatch(name)]
        if bad:
            raise ValueError(f"{event.key}: columns {bad}: names are letters, digits and _ in a larcv file, at most 64")
        labels, particles = self._schema.check(event)
        self._open_columns(particles)
        ids = voxel_ids(event.coords, self._image_size)
        order = np.argsort(ids, kind="stable")
        self._append_order(order)
        ids, energy = ids[order], event.energy[order]
        self._energy.append(ids, energy)
        for name, output in self._columns.items():  # all of them: an event without voxels may lack labels
            column = labels.get(name, np.zeros(0, dtype=np.int64))[order]
            output.append(ids, column.astype(np.float32))
            self._append_exact(name, column)
        if self._shapes is not None:
            self._shapes.append(ids, self._shape_of_class[labels.get("semantic", np.zeros(0, dtype=np.int64))[order]])
        num_particles = len(next(iter(particles.values()), ()))
        if self._clusters is not None:
            instance = labels.get("instance", np.zeros(0, dtype=np.int64))[order]
            self._clusters.append(ids, energy, instance, num_particles)
        self._particles.append(particles)
        for name, column in particles.items():
            self._particle_columns[name].append(column)
        self._num_particles += num_particles
        self._particle_offsets.append(np.array([self._num_particles]))
        self._event_ids.append(np.array([(0, 0, self._num_events)], dtype=EVENT_ID))
        self._num_events += 1
        self._num_voxels += len(event)

    def _open_columns(self, particles: Mapping[str, np.ndarray]) -> None:
        """Data sets of columns that an event shows for the first time; events before it had no voxels."""
        dim, labels = len(self._image_size), self._schema.labels or {}
        for name in labels.keys() - self._columns.keys():
            self._columns[name] = SparseOutput(self._file, column_product(name, dim), self._meta_row)
            self._exact[name] = GrowingTable(self._file, f"{OWN_GROUP}/exact/{name}", EXACT)
            self._fill(self._columns[name])
        if self._shapes is None and "semantic" in labels and len(self._shape_of_class):
            self._shapes = SparseOutput(self._file, f"sparse{dim}d_{SHAPES}", self._meta_row)
            self._fill(self._shapes)
        if self._clusters is None and labels.get("instance") == np.int64:
            self._clusters = ClusterOutput(self._file, f"cluster{dim}d_{CLUSTERS}", self._meta_row)
            nothing = np.zeros(0)
            for _ in range(self._num_events):
                self._clusters.append(
                    nothing.astype(np.uint64), nothing.astype(np.float32), nothing.astype(np.int64), 0
                )
        for name, column in particles.items():
            if name not in self._particle_columns:
                self._particle_columns[name] = GrowingTable(
                    self._file, f"{OWN_GROUP}/particles/{name}", column.dtype, column.shape[1:]
                )

    def _fill(self, output: SparseOutput) -> None:
        for _ in range(self._num_events):
            output.append(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.float32))

    def _append_order(self, order: Int64[np.ndarray, " N"]) -> None:
        """Where each row of the event is in the sorted event; nothing for one that is sorted already."""
        sorted_already = np.arange(len(order))
        if not np.array_equal(order, sorted_already):
            place = np.empty(len(order), dtype=np.int64)
            place[order] = sorted_already
            self._order.append(place)
        self._order_offsets.append(np.array([len(self._order)]))

    def _append_exact(self, name: str, column: Shaped[np.ndarray, " N"]) -> None:
        if column.dtype.kind != "f":
            rows = np.flatnonzero(np.abs(column) > _LARGEST_WHOLE_FLOAT)
            self._exact[name].append(
                np.array(list(zip(rows + self._num_voxels, column[rows], strict=True)), dtype=EXACT)
            )

    def _outputs(self) -> list[Any]:
        outputs = [self._energy, self._particles, self._event_ids, self._order, self._order_offsets]
        tables = [*self._columns.values(), *self._exact.values(), *self._particle_columns.values()]
        return [*outputs, self._particle_offsets, *tables, *filter(None, (self._shapes, self._clusters))]

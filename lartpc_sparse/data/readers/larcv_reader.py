"""The reader of larcv files of any format: which products, which classes, one event after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.classes import FIVE, LARCV_SHAPES, split_names
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.files import EventIndex, IndexedEvents, OpenFiles
from lartpc_sparse.data.readers.larcv_config import LarcvConfig
from lartpc_sparse.data.readers.larcv_counts import LarcvCounts
from lartpc_sparse.data.readers.larcv_products import Products, choose_products
from lartpc_sparse.data.readers.larcv_raw import LarcvFile, RawEvent
from lartpc_sparse.data.readers.larcv_truth import LarcvClasses, build_event
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["LarcvReader"]


class LarcvReader(IndexedEvents):
    """Events of larcv files.

    Products and classes are chosen by the first file; the others must have the same products. Image size: that of
    the first event that has one; events of another size are refused. Construction opens the files that have changed
    since they were last counted, and none after the last event wanted; see `FileCounter`.

    Args:
        files: paths, in order.
        open_file: opens one.
        config: products, classes, and which events.

    Raises:
        UserError: a file that is missing, damaged, of another format, or without the products wanted.
    """

    def __init__(self, files: tuple[str, ...], open_file: Callable[[str], LarcvFile], config: LarcvConfig) -> None:
        self._config = config
        self._files = OpenFiles(open_file)
        self._counts = LarcvCounts(open_file, config.counted_by())
        self._compared: set[str] = set()
        self._products = self._choose_products(files[0])
        with self._counts.events(files, self._products.energy, self._products.names) as counter:
            self._index = EventIndex.build(
                files, lambda path: self._checked(path, counter.count(path)), config.select, config.limit
            )
        self._image_size = self._first_image_size()
        self._classes = self._choose_classes()
        self._num_voxels: np.ndarray | None = None

    def _checked(self, path: str, count: FileCount) -> int:
        """Number of events of a file that has the products of the first one."""
        available = json.loads(count.facts)
        missing = [name for name in dict.fromkeys(self._products.names) if name not in available]
        if missing:
            raise UserError(
                f"{path} has no {', '.join(missing)}, unlike the first file; it holds {', '.join(available)}. "
                f"Read it separately, or give `{self._config.kind}` the names of products that all files have"
            )
        return count.num_events

    def _file(self, path: str) -> LarcvFile:
        """The open file; its products are compared at their first use, since opening them takes time."""
        file = self._files.get(path)
        if path in self._compared:
            return file
        missing = [name for name in self.products.names if name not in file.products]
        if missing:
            raise UserError(f"{path} has changed since the reader was made: it has no {', '.join(missing)}")
        counts = {name: file.num_events(name) for name in self.products.names}
        if len(set(counts.values())) > 1:
            raise UserError(f"{path}: products of different numbers of events {counts}; copy or make the file again")
        self._compared.add(path)
        return file

    def _choose_products(self, path: str) -> Products:
        config = self._config
        return choose_products(
            self._counts.products(path),
            path,
            config.image,
            energy=config.energy,
            semantic=config.semantic,
            clusters=config.clusters,
            particles=config.particles,
        )

    def _first_image_size(self) -> tuple[int, ...]:
        size = self._counts.image_size(self._index, self._products.energy)
        if size is None:
            raise UserError(
                f"{self._index.files[0]}{' and the files after it' if len(self._index.files) > 1 else ''}: no event "
                f"of {self._products.energy} can be read and has an image size, so the files hold nothing to read; "
                "correct `files`"
            )
        return size

    def _choose_classes(self) -> LarcvClasses:
        products, scheme = self.products, self._config.classes
        if products.semantic is None:
            if self._config.split_tracks is True:
                raise UserError(
                    f"{self._index.files[0]}: `split_tracks: true` needs a class product, and none is read; name it "
                    "with `semantic`"
                )
            return LarcvClasses((), (), split=False)
        if scheme == "auto":
            scheme = "fivetypes" if "fivetypes" in products.semantic else "larcv_shapes"
        named = {"larcv_shapes": LARCV_SHAPES, "fivetypes": FIVE}
        stored = named[scheme] if isinstance(scheme, str) else scheme
        able = "track" in stored and not {"HIP", "MIP"} & set(stored)
        able = able and products.clusters is not None and products.particles is not None
        if self._config.split_tracks is True and not able:
            raise UserError(
                f"{self._index.files[0]}: `split_tracks: true` needs a class `track`, clusters and particles; read are "
                f"the classes {', '.join(stored)} and {', '.join(products.names)}"
            )
        split = able and bool(self._config.split_tracks)
        return LarcvClasses(stored, split_names(stored) if split else stored, split=split)

    @property
    def products(self) -> Products:
        """The products that are read."""
        return self._products

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis; in 2D the axes are column and row."""
        return self._image_size

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels `semantic`; empty without a class product."""
        return self._classes.names

    def event_id(self, index: int) -> tuple[int, int, int]:
        """Run, subrun and event number of an event, as the file has them."""
        key = self._index.key(index)
        return self._files.get(key.file).event_id(self.products.energy, key)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event: from the stored lengths; of dense images, from all their pixels."""
        if self._num_voxels is None:
            with self.counting_voxels():
                pass
        assert self._num_voxels is not None
        return self._num_voxels

    @contextmanager
    def counting_voxels(self) -> Iterator[None]:
        """See `CountsVoxelsMeanwhile`."""
        if self._num_voxels is not None:
            yield
            return
        with self._counts.voxels_meanwhile(self._index, self.products.energy) as counted:
            yield
            self._num_voxels = counted()

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: see `build_event`; or data that cannot be read.
            UserError: the file is damaged, or has changed since the reader was made.
        """
        key = self._index.key(index)
        file, products = self._file(key.file), self.products
        if key.entry >= file.num_events(products.energy):
            raise UserError(f"{key.file} has changed since the reader was made: it has fewer events")
        self._check_same_event(file, key)
        raw = RawEvent(
            energy=file.voxels(products.energy, key),
            semantic=file.voxels(products.semantic, key, everywhere=True) if products.semantic else None,
            clusters=file.clusters(products.clusters, key) if products.clusters else None,
            particles=file.particles(products.particles, key) if products.particles else None,
        )
        return build_event(raw, products, key, self._image_size, self._classes, unmatched=self._config.unmatched)

    def _check_same_event(self, file: LarcvFile, key: EventKey) -> None:
        """Products are stored apart: the entries must be of the same event."""
        if len(self.products.names) == 1:
            return
        ids = {name: file.event_id(name, key) for name in self.products.names}
        if len(set(ids.values())) > 1:
            raise BadEventError(
                f"{key}: the products are of different events (run, subrun, event): {ids}; make the file again"
            )

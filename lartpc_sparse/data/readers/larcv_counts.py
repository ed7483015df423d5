"""What the larcv readers ask of files before they read events, kept in the cache of counts (see `count_cache`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.file_counter import FileCounter, joined_voxels
from lartpc_sparse.data.readers.files import EventIndex
from lartpc_sparse.data.readers.larcv_raw import LarcvFile
from lartpc_sparse.schema import BadEventError

__all__ = ["LarcvCounts"]

VERSION = 1
"""Raised when what is counted changes."""


class LarcvCounts:
    """Answers from the cache, or by opening files.

    Args:
        open_file: opens one; can be pickled.
        options: kind of reader and the options of `open_file`: what is counted depends on them.

    Raises:
        UserError: a file that is missing, damaged or of another format.
    """

    def __init__(self, open_file: Callable[[str], LarcvFile], options: str) -> None:
        self._open_file = open_file
        self._options = f"{options} {VERSION}"

    def products(self, path: str) -> tuple[str, ...]:
        """Products of one file."""
        with FileCounter([path], partial(_visit_products, self._open_file), f"{self._options} products") as counter:
            return tuple(json.loads(counter.count(path).facts))

    def events(self, files: Sequence[str], energy: str, names: Sequence[str]) -> FileCounter:
        """Number of events of the product `energy`, 0 without one of the products `names`; facts: all products."""
        visit = partial(_visit_events, self._open_file, energy, tuple(names))
        return FileCounter(files, visit, f"{self._options} events {json.dumps([energy, *names])}")

    def image_size(self, index: EventIndex, energy: str) -> tuple[int, ...] | None:
        """That of the first event that has one; None: there is none. Events from the first one used on count."""
        for path, first, _ in index.spans():
            visit = partial(_visit_image_size, self._open_file, energy, first)
            with FileCounter([path], visit, f"{self._options} image size {json.dumps([energy, first])}") as counter:
                size = json.loads(counter.count(path).facts)
            if size is not None:
                return tuple(size)
        return None

    @contextmanager
    def voxels_meanwhile(self, index: EventIndex, energy: str) -> Iterator[Callable[[], Int64[np.ndarray, " E"]]]:
        """Voxels of every event, counted by other processes while the block runs; call what it is given for them.

        Files of which only a part is used are counted in that part.
        """
        spans = list(index.spans())
        ends = dict(zip(index.files, np.diff(index.offsets).tolist(), strict=True))
        whole = [path for path, first, last in spans if (first, last) == (0, ends[path])]
        visit = partial(_visit_voxels, self._open_file, energy, None)

        def counted() -> Int64[np.ndarray, " E"]:
            parts = [
                counter.count(path) if (first, last) == (0, ends[path]) else self._part(path, energy, (first, last))
                for path, first, last in spans
            ]
            return joined_voxels([part.num_voxels for part in parts if part.num_voxels is not None])

        with FileCounter(whole, visit, f"{self._options} voxels {energy}") as counter:
            counter.look_ahead()
            yield counted

    def _part(self, path: str, energy: str, rows: tuple[int, int]) -> FileCount:
        visit = partial(_visit_voxels, self._open_file, energy, rows)
        with FileCounter([path], visit, f"{self._options} voxels {json.dumps([energy, *rows])}") as counter:
            return counter.count(path)


def _visit_products(open_file: Callable[[str], LarcvFile], path: str) -> FileCount:
    file = open_file(path)
    try:
        return FileCount(0, None, json.dumps(file.products))
    finally:
        file.close()


def _visit_events(open_file: Callable[[str], LarcvFile], energy: str, names: tuple[str, ...], path: str) -> FileCount:
    file = open_file(path)
    try:
        complete = set(names) <= set(file.products)
        return FileCount(file.num_events(energy) if complete else 0, None, json.dumps(file.products))
    finally:
        file.close()


def _visit_image_size(open_file: Callable[[str], LarcvFile], energy: str, first: int, path: str) -> FileCount:
    file = open_file(path)
    try:
        for entry in range(first, file.num_events(energy)):
            try:
                grid = file.voxels(energy, EventKey(path, entry)).grid
            except BadEventError:
                continue  # it is refused when it is read
            if grid.is_valid:
                return FileCount(0, None, json.dumps(grid.image_size))
        return FileCount(0)
    finally:
        file.close()


def _visit_voxels(
    open_file: Callable[[str], LarcvFile], energy: str, rows: tuple[int, int] | None, path: str
) -> FileCount:
    file = open_file(path)
    try:
        counts = file.num_voxels(energy, *(rows or (0, file.num_events(energy))))
        return FileCount(len(counts), counts)
    finally:
        file.close()

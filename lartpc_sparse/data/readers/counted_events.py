"""What readers share whose files say how many voxels each event has, and what their images are."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.file_counter import FileCounter, joined_voxels
from lartpc_sparse.data.readers.files import EventIndex, FileReaderConfig, IndexedEvents
from lartpc_sparse.schema import UserError

__all__ = ["CountedEvents", "counted_voxels"]


def counted_voxels(index: EventIndex, counter: FileCounter) -> Int64[np.ndarray, " E"]:
    """Voxels of every event of `index`, whose files the counter has seen, with the voxels of each event."""
    counts = {path: counter.count(path).num_voxels for path in index.files}
    return joined_voxels([counts[path][first:last] for path, first, last in index.spans()])  # type: ignore[index]


class CountedEvents(IndexedEvents):
    """The part of `Reader` that follows from a visit to each file, of which all must say the same.

    Args:
        files: paths, in order.
        config: which events; its other fields name the visit in the cache of counts.
        visit: opens one file; its `facts` are a JSON object with `image_size`, `classes`, `voxel_size_mm` and more.
        name: of the visit in the cache; another one wherever its answers have another meaning.
        may_differ: facts that need not be the same in all files; those of the first file hold.

    Attributes:
        facts: of the first file.
        voxel_size_mm: edge of a voxel in mm, where known.

    Raises:
        UserError: what `visit` raises, or files that differ.
    """

    def __init__(
        self,
        files: tuple[str, ...],
        config: FileReaderConfig,
        visit: Callable[[str], FileCount],
        name: str,
        may_differ: Collection[str] = (),
    ) -> None:
        self._first = files[0]
        self._may_differ = frozenset(may_differ)
        wanted = config.model_dump(mode="json", exclude={"files", "select", "limit"})
        with FileCounter(files, visit, f"{name} {json.dumps(wanted)}") as counter:
            self.facts: dict[str, Any] = json.loads(counter.count(self._first).facts)
            self._index = EventIndex.build(
                files, lambda path: self._checked(path, counter.count(path)), config.select, config.limit
            )
            self._num_voxels = counted_voxels(self._index, counter)
        self.voxel_size_mm: float | None = self.facts["voxel_size_mm"]

    def _checked(self, path: str, count: FileCount) -> int:
        here, first = (
            {key: value for key, value in facts.items() if key not in self._may_differ}
            for facts in (json.loads(count.facts), self.facts)
        )
        if here != first:
            raise UserError(f"{path} has {here}, but {self._first} has {first}; read them separately")
        return count.num_events

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(self.facts["image_size"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the semantic labels; empty without them."""
        return tuple(self.facts["classes"])

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event, from the offsets of the files."""
        return self._num_voxels

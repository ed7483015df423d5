"""Every true track alone, as an event of its own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.base import Reader

__all__ = ["SingleTracks", "track_of_voxel"]


def track_of_voxel(event: Event) -> Int64[np.ndarray, " N"]:
    """Instance of the voxels of true tracks, -1 elsewhere."""
    numbers = [number for number, name in enumerate(event.classes) if name in TRACK_NAMES]
    found: Int64[np.ndarray, " N"] = np.where(
        np.isin(event.labels["semantic"], numbers), event.labels["instance"], -1
    ).astype(np.int64)
    return found


class SingleTracks:
    """A reader whose events are the tracks of another one's events, of at least `min_voxels` voxels."""

    def __init__(self, reader: Reader, min_voxels: int = 20) -> None:
        self._reader = reader
        self.image_size, self.classes, self.files = reader.image_size, reader.classes, reader.files
        self._where: list[tuple[int, int, int]] = []
        for index in range(len(reader)):
            track = track_of_voxel(reader.read(index))
            numbers, counts = np.unique(track[track >= 0], return_counts=True)
            chosen = counts >= min_voxels
            pairs = zip(numbers[chosen].tolist(), counts[chosen].tolist(), strict=True)
            self._where += [(index, number, count) for number, count in pairs]

    def __len__(self) -> int:
        return len(self._where)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of each track."""
        return np.array([count for _, _, count in self._where], dtype=np.int64)

    def key(self, index: int) -> EventKey:
        """File of the event, and a number of its own."""
        return EventKey(self._reader.key(self._where[index][0]).file, index)

    def read(self, index: int) -> Event:
        """One track."""
        event, number, _ = self._where[index]
        found = self._reader.read(event)
        alone = found.select(track_of_voxel(found) == number)
        return alone.replace(key=self.key(index), inverse_index=np.arange(len(alone), dtype=np.int64))

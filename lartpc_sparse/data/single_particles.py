"""Every true particle alone, as an event of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import Reader
from lartpc_sparse.schema import UserError

__all__ = ["SingleParticles", "instances_of"]


def instances_of(event: Event, classes: Sequence[str] = TRACK_NAMES) -> Int64[np.ndarray, " N"]:
    """Instance of the voxels of some true classes, -1 elsewhere.

    Args:
        event: with the labels `semantic` and `instance`.
        classes: names; those that the event does not have are not found.
    """
    numbers = [number for number, name in enumerate(event.classes) if name in classes]
    found: Int64[np.ndarray, " N"] = np.where(
        np.isin(event.labels["semantic"], numbers), event.labels["instance"], -1
    ).astype(np.int64)
    return found


class SingleParticles:
    """The particles of another reader's events as a reader (`Reader`) with one particle an event.

    All events are read once, to find the particles. Keys name the file of the event and a number of their own.

    Args:
        reader: of the events.
        classes: names of the true classes whose particles are meant.
        min_voxels: smaller particles are left out.

    Raises:
        UserError: none of the classes is one of the events', or the events lack a label.
        BadEventError: an event that cannot be read.
    """

    def __init__(self, reader: Reader, classes: Sequence[str] = TRACK_NAMES, min_voxels: int = 20) -> None:
        if not set(classes) & set(reader.classes):
            raise UserError(
                f"no class of the events is called {' or '.join(classes)}; they have {', '.join(reader.classes)}"
            )
        self._reader = reader
        self._classes = tuple(classes)
        self.image_size, self.classes, self.files = reader.image_size, reader.classes, reader.files
        self._where: list[tuple[int, int]] = []
        voxels: list[int] = []
        for index in range(len(reader)):
            event = reader.read(index)
            missing = {"semantic", "instance"} - event.labels.keys()
            if missing:
                raise UserError(f"{event.key}: particles alone need the label {' and '.join(sorted(missing))}")
            instance = instances_of(event, self._classes)
            numbers, counts = np.unique(instance[instance >= 0], return_counts=True)
            chosen = counts >= min_voxels
            self._where += [(index, number) for number in numbers[chosen].tolist()]
            voxels += counts[chosen].tolist()
        self._num_voxels = np.array(voxels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._where)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of each particle."""
        return self._num_voxels

    def key(self, index: int) -> EventKey:
        """File of the event, and a number of its own."""
        if not 0 <= index < len(self):
            raise IndexError(f"particle {index} of {len(self)}")
        return EventKey(self._reader.key(self._where[index][0]).file, index)

    def read(self, index: int) -> Event:
        """One particle."""
        key = self.key(index)
        event, number = self._where[index]
        found = self._reader.read(event)
        alone = found.select(instances_of(found, self._classes) == number)
        return alone.replace(key=key, inverse_index=np.arange(len(alone), dtype=np.int64))

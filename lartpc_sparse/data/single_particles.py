"""Every true particle alone, as an event of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.classes import TRACK_NAMES
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import Reader
from lartpc_sparse.schema import BadEventError, UserError

logger = logging.getLogger(__name__)

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

    All events are read once, to find the particles. Keys name the file of the event and a number of their own. The
    particle table of an event stays whole, as labels may be its rows.

    Args:
        reader: of the events.
        classes: names of the true classes whose particles are meant.
        min_voxels: smaller particles are left out.
        skip_bad: an event that cannot be read is logged, counted in `bad_events` and left out.

    Raises:
        UserError: none of the classes is one of the events', or the events lack a label.
        BadEventError: an event that cannot be read, unless `skip_bad`.
    """

    def __init__(
        self,
        reader: Reader,
        classes: Sequence[str] = TRACK_NAMES,
        min_voxels: int = 20,
        *,
        skip_bad: bool = False,
    ) -> None:
        if not set(classes) & set(reader.classes):
            raise UserError(
                f"no class of the events is called {' or '.join(classes)}; they have {', '.join(reader.classes)}"
            )
        self._reader = reader
        self._classes = tuple(classes)
        self.image_size, self.classes, self.files = reader.image_size, reader.classes, reader.files
        # What not every reader has, such as the header of a voxel file.
        self.voxel_size_mm: float | None = getattr(reader, "voxel_size_mm", None)
        self.header = getattr(reader, "header", None)
        self.bad_events = 0
        self._last: tuple[int, Event] | None = None
        self._where: list[tuple[int, int]] = []
        voxels: list[int] = []
        for index in range(len(reader)):
            try:
                event = reader.read(index)
            except BadEventError as error:
                if not skip_bad:
                    raise
                logger.warning("event skipped: %s", error)
                self.bad_events += 1
                continue
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
        if self._last is None or self._last[0] != event:  # its particles are asked for one after another
            self._last = event, self._reader.read(event)
        found = self._last[1]
        alone = found.select(instances_of(found, self._classes) == number)
        return alone.replace(key=key, inverse_index=np.arange(len(alone), dtype=np.int64))

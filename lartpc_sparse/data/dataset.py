"""Events of a reader, transformed, for torch's DataLoader; randomness is a function of where an event stands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import numpy as np
from jaxtyping import Int64
from torch.utils.data import Dataset

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.overlay import Overlay, overlay_events
from lartpc_sparse.data.readers.base import CountsVoxelsMeanwhile, Reader
from lartpc_sparse.data.transforms.base import Transform
from lartpc_sparse.data.transforms.merge_duplicates import merge_duplicates
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["FILLER", "EventDataset", "bad_event_reason", "event_rng", "is_filler"]

logger = logging.getLogger("lartpc_sparse")

BAD_EVENT = "bad_event"

FILLER = -1
"""Index of an event that is none: for a rank that has no event in a batch of all ranks."""

_OVERLAY_POSITION = 2_000_000
"""Place of the overlay in the chain of random generators: behind transforms and views, whose streams it spares."""


def event_rng(seed: int, epoch: int, index: int, position: int) -> np.random.Generator:
    """The random generator of one transform on one event; the same numbers give the same stream.

    Philox is counter-based (Salmon et al., SC'11): seed and epoch are its key, event and transform its
    counter, so that two streams differ by construction.

    Args:
        seed: of the run.
        epoch: from 0.
        index: of the event in the reader.
        position: of the transform in the chain.

    Raises:
        ValueError: a negative number.
    """
    if min(seed, epoch, index, position) < 0:
        raise ValueError(f"seed, epoch, index and position must not be negative: {(seed, epoch, index, position)}")
    key = np.array([seed, epoch], dtype=np.uint64)
    counter = np.array([0, 0, index, position], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def bad_event_reason(event: Event) -> str | None:
    """Why the event was skipped, None for a good one; also works in the main process on a worker's event."""
    reason = event.particles.get(BAD_EVENT)
    return None if reason is None else str(reason[0])


def is_filler(key: EventKey) -> bool:
    """Whether this is the key of no event, see `FILLER`."""
    return key.entry == FILLER


class EventDataset(Dataset[Event]):
    """Reads event `index` and applies the transforms of epoch `epoch`; indexed by (epoch, index).

    With `on_bad_event="skip"` an event that raises BadEventError, in the reader or in a transform, becomes an
    empty event with the same key. It has the label columns (names and types) and the feature count of a
    readable event of the same reader: of the first one that this process read, or else the first one in the
    file. So a batch keeps its labels. Its only particle column is the reason; see `bad_event_reason`.

    With an overlay, other events are laid over the event before the transforms, chosen anew in every epoch, and
    voxels in common are joined by `merge_duplicates`; see `overlay_events` for the labels. An added event that raises
    BadEventError stops the job, or, with "skip", is left out, logged and counted like a skipped one.

    Attributes:
        reader: source of the events.
        transforms: applied in order.
        bad_events: key and reason of each event skipped in this process (workers keep their own).
    """

    def __init__(
        self,
        reader: Reader,
        transforms: Sequence[Transform],
        *,
        seed: int,
        on_bad_event: Literal["fail", "skip"] = "fail",
        overlay: Overlay | None = None,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self.reader = reader
        self.transforms = tuple(transforms)
        self.bad_events: list[tuple[EventKey, str]] = []
        self._seed = seed
        self._skip = on_bad_event == "skip"
        self._overlay = overlay
        self._template: Event | None = None

    def __len__(self) -> int:
        return len(self.reader)

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event, as stored in the files; with an overlay, and what it adds on average."""
        counts = self.reader.num_voxels()
        return counts if self._overlay is None else counts + self._overlay.mean_voxels()

    def counting_voxels(self) -> AbstractContextManager[None]:
        """Voxels are counted in the background of a block, where the reader can do that, and known at its end."""
        return self.reader.counting_voxels() if isinstance(self.reader, CountsVoxelsMeanwhile) else nullcontext()

    def __getitem__(self, where: tuple[int, int]) -> Event:
        """The transformed event `where` = (epoch, index); see `read_pair`."""
        return self.read_pair(where)[1]

    def read_pair(self, where: tuple[int, int]) -> tuple[Event, Event]:
        """The event `where` = (epoch, index) as the reader gives it, and transformed.

        With an overlay the first is all events in one image, one row for each row of their files.

        Raises:
            BadEventError: the event cannot be used and `on_bad_event` is fail.
            IndexError: no such event.
            TypeError: `where` is not a pair; use EventBatchSampler as batch_sampler.
        """
        if not (isinstance(where, tuple) and len(where) == 2):
            raise TypeError(
                f"EventDataset is indexed by (epoch, index), got {where!r}; "
                "give the DataLoader an EventBatchSampler as batch_sampler"
            )
        epoch, index = where
        if index == FILLER:
            raw = self._readable_layout().replace(key=EventKey("no event", FILLER))
            return raw, self._transform(raw, epoch, 0)
        if not 0 <= index < len(self.reader):
            raise IndexError(f"event {index} of {len(self.reader)}")
        try:
            event = self.reader.read(index)
            if self._template is None:
                self._template = _layout_of(event)
            event = self._overlaid(event, epoch, index)
            return event, self._transform(event, epoch, index)
        except BadEventError as error:
            if not self._skip:
                raise
            return self._skipped(epoch, index, str(error))

    def _overlaid(self, event: Event, epoch: int, index: int) -> Event:
        if self._overlay is None:
            return event
        rng = event_rng(self._seed, epoch, index, _OVERLAY_POSITION)
        events = [event]
        for partner in self._overlay.partners(index, rng):
            try:
                events.append(self._overlay.reader.read(partner))
            except BadEventError as error:
                if not self._skip:
                    raise
                logger.warning("event left out of an overlay: %s", error)
                self.bad_events.append((self._overlay.reader.key(partner), str(error)))
        return overlay_events(events, self._overlay.id_columns)

    def _transform(self, event: Event, epoch: int, index: int) -> Event:
        if self._overlay is not None:
            event = merge_duplicates(event, self._overlay.priority)
        for position, transform in enumerate(self.transforms):
            event = transform(event, event_rng(self._seed, epoch, index, position))
        return event

    def _skipped(self, epoch: int, index: int, reason: str) -> tuple[Event, Event]:
        key = self.reader.key(index)
        logger.warning("event skipped: %s", reason)
        self.bad_events.append((key, reason))
        raw = self._readable_layout().replace(key=key)
        if self._overlay is not None:
            raw = overlay_events([raw], self._overlay.id_columns)
        reasons = {BAD_EVENT: np.array([reason])}
        return raw, self._transform(raw, epoch, index).replace(particles=reasons)

    def _readable_layout(self) -> Event:
        if self._template is None:
            for index in range(len(self.reader)):
                try:
                    self._template = _layout_of(self.reader.read(index))
                    break
                except BadEventError:
                    continue
            else:
                raise UserError(
                    f"none of the {len(self.reader)} events can be read, so there is nothing to skip to; "
                    f"the first is {self.reader.key(0)}"
                )
        return self._template


def _layout_of(event: Event) -> Event:
    """The event without voxels and particles: its label columns, feature count, image size and classes."""
    nothing = np.zeros(0, dtype=np.int64)
    return event.select(nothing).replace(inverse_index=nothing, particles={})

"""The 3D events that are projected: those of a reader, or those of another source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import Reader, VoxelsReader
from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.base import EventSource

__all__ = ["ReaderEvents", "SourceEvents", "VoxelEvents"]


@runtime_checkable
class VoxelEvents(Protocol):
    """3D events by index.

    Attributes:
        image_size: voxels along each axis.
        classes: names of the semantic labels.
        voxel_size_mm: edge of a voxel, None where it is not known.
        origin: where the events come from.
        attributes: what else the files of the events say about them.
    """

    image_size: tuple[int, ...]
    classes: tuple[str, ...]
    voxel_size_mm: float | None
    origin: str
    attributes: Mapping[str, str | int | float]

    def make(self, seed: int, index: int) -> Event:
        """Event `index`."""
        ...


class ReaderEvents:
    """The events of a reader, in its order; the seed plays no part.

    Args:
        reader: of 3D events.
        repeat: begin again after the last event.
    """

    def __init__(self, reader: Reader, *, repeat: bool) -> None:
        self._reader, self._repeat = reader, repeat
        self.image_size, self.classes = reader.image_size, reader.classes
        self.voxel_size_mm: float | None = None
        self.attributes: Mapping[str, str | int | float] = {}
        self.origin = ", ".join(reader.files[:3]) + (" ..." if len(reader.files) > 3 else "")
        if isinstance(reader, VoxelsReader):
            self.origin = reader.header.origin
            known = reader.header.voxel_size_mm
            self.voxel_size_mm = known if known > 0 else None  # NaN: the file does not say

    def make(self, seed: int, index: int) -> Event:
        """Event `index` of the reader.

        Raises:
            BadEventError: the event cannot be used.
            UserError: there are fewer events.
        """
        number = len(self._reader)
        if index >= number and not (self._repeat and number):
            raise UserError(
                f"event {index} is asked for, but `reader` has {number}; make fewer, add files, or set repeat: true to "
                "project the same events again, with other noise and another random place"
            )
        return self._reader.read(index % number)


class SourceEvents:
    """One stream of another source.

    Args:
        source: makes 3D events.
        stream: which of its streams.

    Raises:
        UserError: the source has no such stream.
    """

    def __init__(self, source: EventSource, stream: str) -> None:
        if stream not in source.streams:
            raise UserError(f"`generator` has no stream '{stream}', it has {sorted(source.streams)}; set `stream`")
        self._source, self._stream = source, stream
        about = source.streams[stream]
        self.image_size, self.classes = about.image_size, about.classes
        self.voxel_size_mm, self.origin = about.voxel_size_mm, about.origin
        self.attributes = about.attributes

    def make(self, seed: int, index: int) -> Event:
        """Event `index` of the source.

        Raises:
            BadEventError: this event cannot be made.
            UserError: no event can be made.
        """
        event: Event = self._source.make(seed, index)[self._stream]
        return event

"""The seam for event sources: a source makes event `index` from the seed alone; the step writes them to files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from lartpc_sparse.schema import PartConfig

__all__ = ["EventSource", "SourceConfig", "Stream"]

OpenWriter = Callable[..., AbstractContextManager[Any]]
"""Opens a file: (path, *, image_size, origin, attributes); what it gives has `write` and `set_attribute`."""


@dataclass(frozen=True)
class Stream:
    """One kind of image that a source makes; the step writes each stream to files of its own.

    Attributes:
        image_size: voxels along each axis.
        classes: names of the values 0, 1, ... of `labels["semantic"]`; empty without semantic labels.
        voxel_size_mm: edge of a voxel, None where it has none.
        origin: where the events come from, free text written into the files.
        attributes: further attributes of the files: what physics ran, from which tables, with which parameters.
        open_writer: opens the files of a stream that holds no events but frames; None: files of voxels.
    """

    image_size: tuple[int, ...]
    classes: tuple[str, ...]
    voxel_size_mm: float | None = None
    origin: str = ""
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    open_writer: OpenWriter | None = None


@runtime_checkable
class EventSource(Protocol):
    """Makes events; built separately in every process, and used by one thread of it.

    Event `index` is a function of the source's configuration, of `seed` and of `index`, whatever was made before it
    and in whichever process, so that an interrupted simulation continues as if nothing had happened.
    """

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The streams by name (`events`, or `u`, `v`, `y` for wire planes)."""
        ...

    def make(self, seed: int, index: int) -> Mapping[str, Any]:
        """Event `index`, one image for each stream: an `Event`, or what the writer of the stream takes.

        Raises:
            BadEventError: this event cannot be made; names it and says why.
            UserError: no event can be made: a missing package or table, and what to install or set.
        """
        ...


class SourceConfig(PartConfig, ABC):
    """Base of the configurations of event sources."""

    @abstractmethod
    def build(self) -> EventSource:
        """The source; called in every process that makes events.

        Raises:
            UserError: a missing package or table, and what to install or set.
        """

    def files(self) -> tuple[str, ...]:
        """Paths of the files that the source reads: the events are made again when one of them has changed.

        Raises:
            UserError: a file that cannot be used.
        """
        return ()

"""Ranges of events that are worked on and written as one."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EventPart", "event_parts"]


@dataclass(frozen=True)
class EventPart:
    """Events first..stop-1."""

    number: int
    first: int
    stop: int


def event_parts(events: int, size: int) -> tuple[EventPart, ...]:
    """Parts of `size` events, the last one of what is left; none of no events."""
    return tuple(EventPart(n, first, min(first + size, events)) for n, first in enumerate(range(0, events, size)))

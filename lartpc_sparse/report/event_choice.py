"""Which events are displayed: some of the worst, some of the best, the others spread over the range."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

__all__ = ["Choice", "choose_events"]


@dataclass(frozen=True)
class Choice:
    """An event to display: its number in the predictions file, why it was chosen, and its score."""

    index: int
    reason: str
    score: float | None


def choose_events(scores: Float64[np.ndarray, " E"], number: int, usable: Callable[[int], bool]) -> tuple[Choice, ...]:
    """A quarter worst, a quarter best, the rest at evenly spaced quantiles between ("typical").

    Events whose score is undefined (NaN) are taken only when the others do not suffice, evenly spaced over the
    file. The order is typical, best, worst, others; no event occurs twice.

    Args:
        scores: one number an event, higher is better.
        number: events wanted; fewer come back when fewer are usable.
        usable: whether an event can be shown; asked only for candidates.
    """
    ranked = np.flatnonzero(np.isfinite(scores))
    ranked = ranked[np.argsort(scores[ranked], kind="stable")].tolist()
    quarter = number // 4
    taken: dict[int, str] = {}
    _take(taken, ranked, quarter, "worst", usable)
    _take(taken, reversed(ranked), quarter, "best", usable)
    _take_spread(taken, ranked, number - len(taken), "typical", usable)
    _take_spread(taken, range(len(scores)), number - len(taken), "evenly spaced", usable)
    order = ("typical", "best", "worst", "evenly spaced")
    return tuple(
        Choice(index, reason, float(scores[index]) if np.isfinite(scores[index]) else None)
        for wanted in order
        for index, reason in taken.items()
        if reason == wanted
    )


def _take(
    taken: dict[int, str], candidates: Iterable[int], number: int, reason: str, usable: Callable[[int], bool]
) -> None:
    """Adds the first `number` usable candidates that are not taken."""
    for index in candidates:
        if number <= 0:
            return
        if index not in taken and usable(index):
            taken[index] = reason
            number -= 1


def _take_spread(
    taken: dict[int, str],
    candidates: Iterable[int],
    number: int,
    reason: str,
    usable: Callable[[int], bool],
) -> None:
    """Adds `number` usable candidates, each the nearest to one of evenly spaced places among them."""
    free = [index for index in candidates if index not in taken]
    for place in np.linspace(0, len(free) - 1, number + 2)[1:-1] if free else ():
        nearest = np.argsort(np.abs(np.arange(len(free)) - place), kind="stable")
        _take(taken, (free[at] for at in nearest.tolist()), 1, reason, usable)

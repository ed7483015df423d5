"""A training view: some events with masked regions, the others as they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import Transform, add_empty_mask

__all__ = ["MaskedShare"]


@dataclass(frozen=True)
class MaskedShare:
    """Applies `view` to a random share of the events; the others get the same columns, empty.

    Attributes:
        view: transform that masks regions.
        fraction: share of masked events, 0 .. 1.
        hints: columns that the view adds for the network (`HeadConfig.hints`).
    """

    view: Transform
    fraction: float
    hints: tuple[str, ...] = ()

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event, masked or not."""
        return self.view(event, rng) if rng.random() < self.fraction else add_empty_mask(event, self.hints)

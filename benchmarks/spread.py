"""Median and quartiles of repeated measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Spread"]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Spread of at least one value.

        Raises:
            ValueError: no values.
        """
        if not values:
            raise ValueError("a spread needs at least one value")
        low, median, high = np.percentile(np.asarray(values), [25, 50, 75]).tolist()
        return cls(median, low, high)

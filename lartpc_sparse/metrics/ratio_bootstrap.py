"""Means and shares over events with intervals by resampling events; differences between methods on the same events."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Num

from lartpc_sparse.metrics.event_bootstrap import resampled_sums

__all__ = ["Ratios", "resampled_ratios", "with_interval"]

Ratios = tuple[Float64[np.ndarray, " C"], Float64[np.ndarray, "R C"]]
"""C ratios of all events, and of each of R resampled sets; NaN where the denominator is 0."""


def resampled_ratios(
    parts: Num[np.ndarray, "E C"], wholes: Num[np.ndarray, "E C"], replicates: int, seed: int
) -> Ratios:
    """sum(parts) / sum(wholes) of each column, over all events and over samples of them drawn with replacement.

    With the same number of events and seed the same events are drawn, so that the difference of the ratios of two
    methods in one resampled set is theirs on the same events.

    Args:
        parts: numerators by event.
        wholes: denominators by event; ones for a mean over events.
        replicates: number of resampled sets R.
        seed: of the draws.
    """
    columns = np.concatenate([parts, wholes], axis=1).astype(np.float64)
    sums = np.concatenate([columns.sum(axis=0)[None], resampled_sums(columns, replicates, seed)])
    part, whole = np.split(sums, 2, axis=1)
    ratios = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
    return ratios[0], ratios[1:]


def with_interval(value: float, resampled: Float64[np.ndarray, " R"], level: float) -> dict[str, Any] | None:
    """The value with the percentile limits of its resampled values, ready for JSON.

    Args:
        value: NaN: undefined.
        resampled: values of the resampled sets, NaN where undefined.
        level: of confidence, such as 0.68.

    Returns:
        `{"value", "low", "high"}`, the limits None when fewer than half of the sets (or none) define them; None when
        the value is undefined.
    """
    if not np.isfinite(value):
        return None
    known = resampled[np.isfinite(resampled)]
    if 2 * len(known) <= len(resampled) or not len(known):
        return {"value": float(value), "low": None, "high": None}
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}

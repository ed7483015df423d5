"""Proportions with intervals: binomial ones, and ratios of sums by bootstrap over events."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import binomtest

__all__ = ["LEVEL", "bootstrap_interval", "bootstrap_sums", "proportion"]

LEVEL = 0.68
"""Confidence level of all intervals."""
_CHUNK = 64


def proportion(
    part: int, whole: int, level: float = LEVEL, method: Literal["wilson", "exact"] = "wilson"
) -> dict[str, Any]:
    """`{"value", "low", "high", "part", "n"}` of a share with its interval; None where `whole` is 0.

    The interval takes the items as independent: that of Wilson, or the exact one of Clopper and Pearson.

    Raises:
        ValueError: not 0 <= part <= whole.
    """
    if not 0 <= part <= whole:
        raise ValueError(f"{part} of {whole} is no proportion")
    if whole == 0:
        return {"value": None, "low": None, "high": None, "part": 0, "n": 0}
    interval = binomtest(part, whole).proportion_ci(level, method=method)
    return {
        "value": part / whole,
        "low": float(interval.low),
        "high": float(interval.high),
        "part": part,
        "n": whole,
    }


def bootstrap_sums(counts: Int64[np.ndarray, "E Q"], resamples: int, seed: int) -> Float64[np.ndarray, "B Q"]:
    """Sums of Q quantities over resamples of the E events (Efron 1979): every event is drawn with replacement.

    The quantities of an event stay together, so that what is made of the sums has its correlations. O(B E) time,
    O(E) memory; the same seed draws the same events.

    Args:
        counts: one row an event.
        resamples: number B of resamples.
        seed: of the generator.
    """
    rng = np.random.default_rng(seed)
    events = len(counts)
    sums = np.zeros((resamples, counts.shape[1]))
    if events == 0:
        return sums
    for start in range(0, resamples, _CHUNK):
        rows = slice(start, min(start + _CHUNK, resamples))
        times = rng.multinomial(events, np.full(events, 1 / events), size=rows.stop - rows.start)
        sums[rows] = times @ counts
    return sums


def bootstrap_interval(values: Float64[np.ndarray, " B"], level: float = LEVEL) -> tuple[float, float] | None:
    """Central interval of the values of a quantity over the resamples; None when none of them is defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

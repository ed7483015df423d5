"""Rates (right of all) in bins of a quantity, with intervals that know that voxels of one event are alike.

Sums over events are all that is kept, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

__all__ = ["BinnedRates", "Rates", "clustered_interval", "wilson_interval"]


def wilson_interval(
    rate: Float64[np.ndarray, "*S"], trials: Float64[np.ndarray, "*S"], level: float
) -> tuple[Float64[np.ndarray, "*S"], Float64[np.ndarray, "*S"]]:
    """Wilson's interval of a binomial rate (J. Am. Stat. Assoc. 22 (1927) 209); NaN without trials.

    Args:
        rate: share of successes, 0..1.
        trials: their number, need not be whole.
        level: of confidence, such as 0.68.
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shrink = 1 + z**2 / trials
        centre = (rate + z**2 / (2 * trials)) / shrink
        half = z / shrink * np.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    empty = ~(trials > 0)
    return (
        np.where(empty, np.nan, np.clip(centre - half, 0, rate)),
        np.where(empty, np.nan, np.clip(centre + half, rate, 1)),
    )


def clustered_interval(
    sums: tuple[Float64[np.ndarray, "*S"], ...], events: Float64[np.ndarray, "*S"], level: float
) -> tuple[Float64[np.ndarray, "*S"], Float64[np.ndarray, "*S"]]:
    """Interval of the rate sum(k) / sum(n), where an event gives n voxels of which k are right.

    Voxels of an event are right or wrong together, so that a binomial interval of the voxels is too short. The
    variance is that of a ratio over E events, p = sum(k) / sum(n):

        var = E / (E - 1) * sum((k - p n)^2) / sum(n)^2

    and Wilson's interval is taken with the number of independent voxels that would have this variance,
    p (1 - p) / var, at most sum(n) (Korn and Graubard, Survey Methodology 24 (1998) 193). Where it cannot be
    estimated (one event, or nothing wrong at all) an event counts as one voxel.

    Args:
        sums: over the events, of n, k, n^2, n k and k^2.
        events: number of events with n > 0.
        level: of confidence.
    """
    n, k, nn, nk, kk = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = k / n
        spread = np.maximum(kk - 2 * rate * nk + rate**2 * nn, 0) / n**2 * events / (events - 1)
        known = (events > 1) & (rate > 0) & (rate < 1) & (spread > 0)
        effective = np.where(known, np.minimum(rate * (1 - rate) / spread, n), events)
    return wilson_interval(rate, effective, level)


@dataclass(frozen=True)
class Rates:
    """Rates in B bins; NaN where a bin is empty.

    Attributes:
        n: voxels.
        mean: mean of the quantity over the voxels where it is finite.
        rate: share that is right.
        low, high: limits of the interval of `rate`.
    """

    n: Int64[np.ndarray, " B"]
    mean: Float64[np.ndarray, " B"]
    rate: Float64[np.ndarray, " B"]
    low: Float64[np.ndarray, " B"]
    high: Float64[np.ndarray, " B"]


class BinnedRates:
    """Collects, event by event, how often voxels are right in bins of a quantity, for each of G groups and for all.

    Bin 0 is below the first edge, bin i from edge i - 1 (inclusive) to edge i, the last one from the last edge on.

    Args:
        edges: increasing, may be none.
        groups: number of groups G, classes for instance.

    Raises:
        ValueError: edges that do not increase or are not finite.
    """

    def __init__(self, edges: Sequence[float], groups: int) -> None:
        self.edges = np.array(edges, dtype=np.float64)
        if not np.isfinite(self.edges).all() or (np.diff(self.edges) <= 0).any():
            raise ValueError(f"bin edges must be finite and increase, got {list(edges)}")
        self.groups = groups
        # of n, k, n^2, n k, k^2, of the number of events, of the finite values and of their number
        self._sums = np.zeros((8, groups + 1, len(self.edges) + 1))

    def update(
        self, group: Int[np.ndarray, " N"], values: Float[np.ndarray, " N"], right: Bool[np.ndarray, " N"]
    ) -> None:
        """Take the voxels of one event into account; those with group -1 or a NaN value are left out."""
        used = (group >= 0) & ~np.isnan(values)
        bins = len(self.edges) + 1
        values = values[used].astype(np.float64)
        cell = group[used].astype(np.int64) * bins + np.searchsorted(self.edges, values, side="right")
        finite = np.isfinite(values)

        def summed(weights: np.ndarray) -> Float64[np.ndarray, "G1 B"]:
            parts = np.bincount(cell, weights, minlength=self.groups * bins).reshape(self.groups, bins)
            return np.vstack([parts, parts.sum(axis=0)]).astype(np.float64)  # whole numbers when there is no voxel

        n, k = summed(np.ones(len(cell))), summed(right[used].astype(np.float64))
        value, known = summed(np.where(finite, values, 0.0)), summed(finite.astype(np.float64))
        self._sums += np.stack([n, k, n * n, n * k, k * k, n > 0, value, known])

    def rates(self, group: int | None, level: float) -> Rates:
        """The rates of one group; None: of all together.

        Args:
            group: number of the group.
            level: of confidence of the interval.
        """
        n, k, nn, nk, kk, events, value, known = self._sums[:, self.groups if group is None else group]
        low, high = clustered_interval((n, k, nn, nk, kk), events, level)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Rates(n.astype(np.int64), value / known, k / n, low, high)

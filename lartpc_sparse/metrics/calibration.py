"""Reliability of scores: does what is said with 80 % come true in 80 %?"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lartpc_sparse.metrics.binned_rates import BinnedRates, Rates

__all__ = ["Calibration", "calibration_errors"]


def calibration_errors(rates: Rates) -> tuple[float | None, float | None]:
    """Expected and maximum calibration error of a reliability diagram; None without voxels.

    ECE = sum over bins of n_b / n |rate_b - mean score_b| (Guo et al., arXiv:1706.04599, eq. 5), MCE the largest gap.
    """
    used = rates.n > 0
    if not used.any():
        return None, None
    gap = np.abs(rates.rate[used] - rates.mean[used])
    return float(np.average(gap, weights=rates.n[used])), float(gap.max())


class Calibration:
    """Reliability of the scores of K classes, event by event.

    For the most probable class (is the voxel of that class?), and for every class k by itself (is the voxel of class
    k, given its score for k?).

    Args:
        classes: K.
        bins: equal ones from 0 to 1.
    """

    def __init__(self, classes: int, bins: int) -> None:
        edges = np.linspace(0, 1, bins + 1)[1:-1].tolist()
        self._top = BinnedRates(edges, 1)
        self._each = BinnedRates(edges, classes)
        self._classes = classes

    def update(self, truth: Int[np.ndarray, " N"], probability: Float[np.ndarray, "N K"]) -> None:
        """Take one event into account; voxels without a true class (-1) or with a NaN score are left out."""
        used = (truth >= 0) & np.isfinite(probability).all(axis=1)
        truth, probability = truth[used], probability[used]
        if not len(truth):
            return
        best = probability.argmax(axis=1)
        self._top.update(np.zeros(len(truth), dtype=np.int64), probability.max(axis=1), best == truth)
        number = np.tile(np.arange(self._classes), len(truth))
        self._each.update(number, probability.reshape(-1), number == np.repeat(truth, self._classes))

    def top(self, level: float) -> tuple[Rates, dict[str, Any]]:
        """Diagram of the most probable class, and its errors `ece` and `mce`."""
        return _with_errors(self._top.rates(None, level))

    def of_class(self, number: int, level: float) -> tuple[Rates, dict[str, Any]]:
        """Diagram of one class against all others, and its errors."""
        return _with_errors(self._each.rates(number, level))


def _with_errors(rates: Rates) -> tuple[Rates, dict[str, Any]]:
    expected, largest = calibration_errors(rates)
    return rates, {"ece": expected, "mce": largest}

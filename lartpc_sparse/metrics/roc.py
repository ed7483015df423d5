"""Efficiency and mistag rate over the range of a cut, summed over any number of events in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

__all__ = ["count_at_cuts", "fraction_cuts", "roc", "score_cuts"]


def score_cuts(*own: float) -> Float64[np.ndarray, " C"]:
    """Cuts on a softmax score: steps of 0.01, finer towards 0 and 1 where scores crowd, and the given ones."""
    tails = 1 / (1 + np.exp(-np.linspace(-14, 14, 113)))
    return np.unique(np.concatenate([np.arange(101) / 100, tails, own]))


def fraction_cuts(*own: float) -> Float64[np.ndarray, " C"]:
    """Cuts on a share of voxels: steps of 0.005, and the given ones."""
    return np.unique(np.concatenate([np.arange(201) / 200, own]))


def count_at_cuts(
    score: Float64[np.ndarray, " N"], positive: Bool[np.ndarray, " N"], cuts: Float64[np.ndarray, " C"]
) -> Int64[np.ndarray, "2 C1"]:
    """Items with score >= cut, for every cut; add the results of several events.

    Args:
        score: of each item; none is NaN.
        positive: whether it is truly what the score is of.
        cuts: ascending.

    Returns:
        Negatives (row 0) and positives (row 1); the first column counts all of them, column 1 + c those of cut c.
    """
    reached = np.searchsorted(cuts, score, side="right")  # number of cuts that the score passes
    size = len(cuts) + 1
    counts = np.stack([np.bincount(reached[positive == truth], minlength=size) for truth in (False, True)])
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.int64)


def roc(counts: Int64[np.ndarray, "2 C1"], cuts: Float64[np.ndarray, " C"]) -> dict[str, Any] | None:
    """Efficiency (share of the positives that pass) and mistag (share of the negatives) at each cut, ready for JSON.

    Cuts that change neither are left out, but the first and the last of a run of equal ones. `auc` is the area by
    trapezoids: the true one up to the spacing of the cuts.

    Returns:
        `{"cut", "efficiency", "mistag", "auc"}`; None without positives or without negatives.
    """
    negatives, positives = counts[:, 0].tolist()
    if not negatives or not positives:
        return None
    mistag, efficiency = counts[0, 1:] / negatives, counts[1, 1:] / positives
    x = np.concatenate([[1.0], mistag, [0.0]])
    y = np.concatenate([[1.0], efficiency, [0.0]])
    same = (np.diff(counts[:, 1:], axis=1) == 0).all(axis=0)  # cut c and c + 1 keep the same items
    inner = np.zeros(len(cuts), dtype=np.bool_)
    inner[1:-1] = same[:-1] & same[1:]
    return {
        "cut": cuts[~inner].tolist(),
        "efficiency": efficiency[~inner].tolist(),
        "mistag": mistag[~inner].tolist(),
        "auc": float(-np.trapezoid(y, x)),
    }

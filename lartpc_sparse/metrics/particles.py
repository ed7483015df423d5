"""Which predicted particle is which true one, and how a quantity is distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int64

__all__ = ["match_particles", "summarise_values"]


def match_particles(
    truth: Int[np.ndarray, " N"], predicted: Int[np.ndarray, " N"]
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"]]:
    """True and predicted particles that are each other's largest overlap, ordered by the true ones.

    Args:
        truth: true particle of each voxel, negative for none.
        predicted: predicted particle of each voxel, negative for none.
    """
    both = (truth >= 0) & (predicted >= 0)
    pairs, overlap = np.unique(np.stack([truth[both], predicted[both]], axis=1), axis=0, return_counts=True)
    if not len(pairs):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    order = np.arange(len(pairs))
    best = [np.zeros(len(pairs), dtype=np.bool_) for _ in range(2)]
    for side, found in enumerate(best):
        sorted_rows = np.lexsort((order, -overlap, pairs[:, side]))
        _, first = np.unique(pairs[sorted_rows, side], return_index=True)
        found[sorted_rows[first]] = True
    chosen = pairs[best[0] & best[1]].astype(np.int64)
    return chosen[:, 0], chosen[:, 1]


def summarise_values(values: Sequence[float] | Float[np.ndarray, " V"]) -> dict[str, Any]:
    """Number, mean, median and the limits of the middle 68 % of the finite values; None where there is none."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return {"n": 0, "mean": None, "median": None, "low": None, "high": None}
    low, median, high = np.quantile(known, (0.16, 0.5, 0.84)).tolist()
    return {"n": len(known), "mean": float(known.mean()), "median": median, "low": low, "high": high}

"""Numbers of clusters that do not depend on how they were found."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Int64

__all__ = ["numbered_by_first"]


def numbered_by_first(clusters: Int[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The clusters with numbers 0..K-1 in the order of their first voxels; negative ones become -1."""
    result = np.full(len(clusters), -1, dtype=np.int64)
    rows = np.flatnonzero(clusters >= 0)
    own = clusters[rows]
    if not len(own) or own.max() > 8 * len(clusters):
        _, first, inverse = np.unique(own, return_index=True, return_inverse=True)
        result[rows] = np.argsort(np.argsort(first))[inverse.reshape(-1)]
        return result
    # small numbers need no sorting of all voxels: the last of several assignments to one place stays
    first = np.full(int(own.max()) + 1, len(own))
    first[own[::-1]] = np.arange(len(own))[::-1]
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first, kind="stable")] = np.arange(len(first))
    result[rows] = place[own]
    return result

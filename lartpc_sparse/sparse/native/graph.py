"""Calls of the compiled graph functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64

from lartpc_sparse.sparse.native.library import library

__all__ = ["agglomerate", "near_pairs"]


def near_pairs(
    coords: Int32[np.ndarray, "N D"], label: Int64[np.ndarray, " N"], reach: int, far: Sequence[int] = ()
) -> Int64[np.ndarray, "E 2"] | None:
    """Pairs of rows with one label >= 0 whose longest difference along an axis is up to `reach` or in `far`, each once.

    Returns:
        None when labels and coordinates do not fit into a key of 64 bits.
    """
    rows, labels = np.ascontiguousarray(coords), np.ascontiguousarray(label)
    distances = sum(1 << distance for distance in set(far))
    capacity = (12 + 4 * len(far)) * len(rows)
    while True:
        pairs = np.empty((capacity, 2), dtype=np.int64)
        number = library().near_pairs(
            rows.ctypes.data, labels.ctypes.data, *rows.shape, reach, distances, capacity, pairs.ctypes.data
        )
        if number < 0:
            return None
        if number <= capacity:
            return pairs[:number]
        capacity = number


def agglomerate(
    pairs: Int64[np.ndarray, "E 2"], scores: Float32[np.ndarray, " E"], nodes: int, threshold: float, certain: float
) -> Int64[np.ndarray, " N"]:
    """Cluster of each node by average linkage; see src/graph.h.

    Raises:
        RuntimeError: an edge names a node that does not exist.
    """
    edges, values = np.ascontiguousarray(pairs), np.ascontiguousarray(scores)
    cluster = np.empty(nodes, dtype=np.int64)
    found = library().agglomerate(
        edges.ctypes.data, values.ctypes.data, len(edges), nodes, threshold, certain, cluster.ctypes.data
    )
    if found < 0:
        raise RuntimeError(f"CPU engine: {library().error}")
    return cluster

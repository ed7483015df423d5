"""Calls of the compiled graph functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64

from lartpc_sparse.sparse.native.library import check_status, library

__all__ = ["EdgeNetwork", "agglomerate", "near_pairs", "score_edges"]

_MOST_AXES = 4
"""`MAX_AXES` of the compiled code."""


def near_pairs(
    coords: Int32[np.ndarray, "N D"], label: Int64[np.ndarray, " N"], reach: int, far: Sequence[int] = ()
) -> Int64[np.ndarray, "E 2"] | None:
    """Pairs of rows with one label >= 0 whose longest difference along an axis is up to `reach` or in `far`, each once.

    Returns:
        None when labels and coordinates do not fit into a key of 64 bits, or there are more than four axes.
    """
    if coords.shape[1] > _MOST_AXES:
        return None
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


@dataclass(frozen=True)
class EdgeNetwork:
    """Weights that score an edge: sigmoid(out . relu(s + s' + bias + |f - f'| difference + |x - x'| way) + out_bias).

    f, s and x are the features, sums and coordinates of its ends.
    """

    difference: Float32[np.ndarray, "F H"]
    way: Float32[np.ndarray, "D H"]
    bias: Float32[np.ndarray, " H"]
    out: Float32[np.ndarray, " H"]
    out_bias: float


def score_edges(
    features: Float32[np.ndarray, "N F"],
    sums: Float32[np.ndarray, "N H"],
    coords: Int32[np.ndarray, "N D"],
    pairs: Int64[np.ndarray, "E 2"],
    network: EdgeNetwork,
) -> Float32[np.ndarray, " E"]:
    """Score of each edge; see `EdgeNetwork`.

    Raises:
        RuntimeError: an edge names a voxel that does not exist.
    """
    weights = [network.difference, network.way, network.bias, network.out]
    arrays = [np.ascontiguousarray(array) for array in (features, sums, coords, pairs, *weights)]
    scores = np.empty(len(pairs), dtype=np.float32)
    places = [array.ctypes.data for array in arrays]
    sizes = (features.shape[1], coords.shape[1], sums.shape[1])
    check_status(
        library().score_edges(
            *places[:3],
            len(features),
            places[3],
            len(pairs),
            *places[4:],
            network.out_bias,
            *sizes,
            scores.ctypes.data,
        )
    )
    return scores


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

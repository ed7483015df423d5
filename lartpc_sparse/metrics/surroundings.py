"""Quantities of single voxels against which scores are drawn: size of the true cluster, distances."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int, Int32
from scipy.spatial import cKDTree

__all__ = ["cluster_sizes", "distance_to_other_class", "distance_to_points"]


def cluster_sizes(semantic: Int[np.ndarray, " N"], instance: Int[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Voxels of the true cluster of each voxel; a cluster is an instance within a class.

    NaN for voxels without a class (-1) or without an instance (-1).
    """
    sizes = np.full(len(semantic), np.nan)
    used = np.flatnonzero((semantic >= 0) & (instance >= 0))
    if len(used):
        key = instance[used].astype(np.int64) * (int(semantic[used].max()) + 1) + semantic[used]
        _, cluster, size = np.unique(key, return_inverse=True, return_counts=True)
        sizes[used] = size[cluster.reshape(-1)]
    return sizes


def distance_to_other_class(
    coords: Int32[np.ndarray, "N D"], semantic: Int[np.ndarray, " N"], limit: float = np.inf
) -> Float64[np.ndarray, " N"]:
    """Euclidean distance in voxels from each voxel to the nearest one of another class.

    Infinite beyond `limit` or where there is no other class; NaN for voxels without a class (-1), which do not count
    as neighbours either. Neighbours on the grid are at 1, sqrt(2) and sqrt(3).
    """
    distance = np.where(semantic >= 0, np.inf, np.nan)
    labelled = np.flatnonzero(semantic >= 0)
    for number in np.unique(semantic[labelled]):
        own = labelled[semantic[labelled] == number]
        other = labelled[semantic[labelled] != number]
        if len(other):
            distance[own] = cKDTree(coords[other]).query(coords[own], distance_upper_bound=np.nextafter(limit, np.inf))[
                0
            ]
    return distance


def distance_to_points(coords: Int32[np.ndarray, "N D"], points: Float[np.ndarray, "P D"]) -> Float64[np.ndarray, " N"]:
    """Distance in voxels from the middle of each voxel to the nearest point; voxel i reaches from i to i + 1.

    NaN without points.
    """
    if not len(points) or not len(coords):
        return np.full(len(coords), np.nan)
    return np.asarray(cKDTree(points.astype(np.float64)).query(coords + 0.5)[0], dtype=np.float64)

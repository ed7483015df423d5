"""Decoding of a spatial embedding inside given groups of voxels, such as connected components."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from lartpc_sparse.cluster.spatial_embedding import ClusterThresholds, Leftover, decode_embedding

__all__ = ["decode_in_groups"]


def decode_in_groups(
    group: Int64[np.ndarray, " N"],
    embedding: Float[np.ndarray, "N D"],
    margin: Float[np.ndarray, " N"],
    seediness: Float[np.ndarray, " N"],
    *,
    thresholds: ClusterThresholds,
    leftover: Leftover,
) -> Int64[np.ndarray, " N"]:
    """`decode_embedding` in each group by itself: no cluster has voxels of two groups, every group has one at least.

    Args:
        group: of each voxel, 0 or more.
        embedding: as for `decode_embedding`, like the others.
        margin: sigma.
        seediness: s.
        thresholds: of the class.
        leftover: as for `decode_embedding`.

    Returns:
        Cluster of each voxel, numbered group by group in ascending order; -1 as `decode_embedding` gives it.

    Raises:
        ValueError: see `decode_embedding`.
    """
    result = np.full(len(group), -1, dtype=np.int64)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    first_id = 0
    for rows in np.split(order, starts[1:]) if len(starts) else ():
        found = decode_embedding(
            embedding[rows],
            margin[rows],
            seediness[rows],
            seed_threshold=thresholds.seed,
            probability_threshold=thresholds.probability,
            leftover=leftover,
            min_voxels=thresholds.min_voxels,
        )
        result[rows] = np.where(found >= 0, found + first_id, -1)
        first_id += int(found.max()) + 1
    return result

"""Which voxels and which clusters of two samples of one event are the same."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Int32, Int64

__all__ = ["common_voxels", "matched_clusters"]


def common_voxels(
    one: Int32[np.ndarray, "N D"], other: Int32[np.ndarray, "M D"], image_size: tuple[int, ...]
) -> tuple[Int64[np.ndarray, " C"], Int64[np.ndarray, " C"]]:
    """Rows of the voxels that both events have, in the same order; of repeated coordinates the first row.

    Raises:
        ValueError: a voxel lies outside of the image.
    """
    indices = [np.ravel_multi_index(tuple(coords.T.astype(np.int64)), image_size) for coords in (one, other)]
    _, first, second = np.intersect1d(indices[0], indices[1], return_indices=True)
    return first.astype(np.int64), second.astype(np.int64)


def matched_clusters(
    cluster: Int[np.ndarray, " N"],
    unit: Int[np.ndarray, " N"],
    other_cluster: Int[np.ndarray, " M"],
    other_unit: Int[np.ndarray, " M"],
) -> Int64[np.ndarray, "P 2"]:
    """Clusters of two samples that stand for the same unit (a true instance, say).

    The unit of a cluster is the one that has most of its voxels; its partner is the cluster of the other sample that
    has most of the unit's voxels there. Ties go to the lowest number.

    Args:
        cluster: of each voxel of the first sample, -1 none.
        unit: of each voxel of the first sample, -1 none.
        other_cluster: of each voxel of the other sample.
        other_unit: of each voxel of the other sample, numbered as in the first.

    Returns:
        Cluster and partner, ascending by cluster; clusters without unit or partner are left out.
    """
    unit_of = _most_frequent(cluster, unit)
    partner_of = _most_frequent(other_unit, other_cluster)
    place = np.searchsorted(partner_of[:, 0], unit_of[:, 1])
    found = place < len(partner_of)
    found[found] = partner_of[place[found], 0] == unit_of[found, 1]
    return np.stack([unit_of[found, 0], partner_of[place[found], 1]], axis=1)


def _most_frequent(keys: Int[np.ndarray, " N"], values: Int[np.ndarray, " N"]) -> Int64[np.ndarray, "K 2"]:
    """For every key its most frequent value; rows with a negative key or value do not count."""
    rows = np.stack([keys, values], axis=1).astype(np.int64)[(keys >= 0) & (values >= 0)]
    pairs, counts = np.unique(rows, axis=0, return_counts=True)
    pairs = pairs[np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))]
    return pairs[np.unique(pairs[:, 0], return_index=True)[1]]

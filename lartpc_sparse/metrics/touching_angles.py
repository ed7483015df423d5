"""Angles between particles that touch."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32, Int64

from lartpc_sparse.cluster import cluster_ends, local_directions, near_pairs

__all__ = ["smallest_touching_angles"]

_LEAST_VOXELS = 3
"""Voxels near the common point below which a direction means nothing."""


def smallest_touching_angles(
    coords: Int32[np.ndarray, "N D"], truth: Int64[np.ndarray, " N"], radius: float
) -> Float64[np.ndarray, " K"]:
    """Smallest angle between each cluster and the clusters that touch it, degrees.

    Two clusters touch when voxels of both are neighbours (26 in 3D, 8 in 2D). Their common point is the pair of
    neighbours nearest to the mean of all pairs. There each has the direction of its voxels within `radius` (first
    principal axis). Where both clusters end (the point is within half the radius of an end of each) the angle is that
    between the two directions away from the point, 0 to 180; where one of them goes on, the angle between the two
    lines, 0 to 90.

    Args:
        coords: voxel index.
        truth: cluster of each voxel, -1 for none.
        radius: voxels.

    Returns:
        One value a cluster in ascending order of the ids; NaN where nothing touches it, or fewer than 3 voxels of
        either lie near the common point.
    """
    ids, compact = np.unique(truth[truth >= 0], return_inverse=True)
    cluster = np.full(len(truth), -1, dtype=np.int64)
    cluster[truth >= 0] = compact.reshape(-1)
    smallest = np.full(len(ids), np.nan)
    contacts = _common_points(coords, cluster)
    if not len(contacts):
        return smallest
    ends = coords[cluster_ends(coords, cluster)[1]].astype(np.float64)  # (K, 2, D)
    rows = contacts.reshape(-1)
    inwards, voxels = local_directions(coords, cluster, rows, radius)
    to_end = np.linalg.norm(ends[cluster[rows]] - coords[rows][:, None], axis=2).min(axis=1)
    cosine = np.einsum("cd,cd->c", inwards[0::2], inwards[1::2])
    both_end = (to_end.reshape(-1, 2) <= radius / 2).all(axis=1)
    angle = np.degrees(np.arccos(np.clip(np.where(both_end, cosine, np.abs(cosine)), -1.0, 1.0)))
    known = (voxels.reshape(-1, 2) >= _LEAST_VOXELS).all(axis=1)
    for side in (0, 1):
        np.fmin.at(smallest, cluster[contacts[known, side]], angle[known])
    return smallest


def _common_points(coords: Int32[np.ndarray, "N D"], cluster: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, "C 2"]:
    """Rows of the two voxels of the common point of every two clusters that touch."""
    pairs = near_pairs(coords, np.where(cluster >= 0, 0, -1), 1)
    pairs = np.asarray(pairs[cluster[pairs[:, 0]] != cluster[pairs[:, 1]]])
    if not len(pairs):
        return pairs
    swapped = cluster[pairs[:, 0]] > cluster[pairs[:, 1]]
    pairs = np.where(swapped[:, None], pairs[:, ::-1], pairs)
    key = cluster[pairs[:, 0]] * (int(cluster.max()) + 1) + cluster[pairs[:, 1]]
    _, group, number = np.unique(key, return_inverse=True, return_counts=True)
    middle = (coords[pairs[:, 0]] + coords[pairs[:, 1]]) / 2
    mean = np.stack([np.bincount(group, column) for column in middle.T], axis=1) / number[:, None]
    distance = np.round(np.linalg.norm(middle - mean[group], axis=1), 6)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distance, group))
    chosen: Int64[np.ndarray, "C 2"] = pairs[order[np.cumsum(number) - number]]
    return chosen

"""Chamfer distance between two sets of voxels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from scipy.spatial import cKDTree

__all__ = ["chamfer_distance"]


def chamfer_distance(first: Int[np.ndarray, "N D"], second: Int[np.ndarray, "M D"]) -> float | None:
    """Mean distance to the nearest voxel of the other set, averaged over both directions, in voxels.

    1/2 (mean over a of min_b |a - b| + mean over b of min_a |a - b|), Euclidean; the half makes it a typical
    distance (Fan et al., arXiv:1612.00603, use the sum). O((N + M) log(N + M)).

    Returns:
        None when a set is empty.

    Raises:
        ValueError: the sets differ in the number of axes.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"need (N, D) and (M, D) coordinates, got {first.shape} and {second.shape}")
    if len(first) == 0 or len(second) == 0:
        return None
    to_second, _ = cKDTree(second).query(first)
    to_first, _ = cKDTree(first).query(second)
    return float((np.mean(to_second) + np.mean(to_first)) / 2)

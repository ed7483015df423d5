"""Directions of clusters near points of theirs, by principal component analysis."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int32, Int64

__all__ = ["cluster_ends", "local_directions"]


def cluster_ends(
    coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"]
) -> tuple[Int64[np.ndarray, " K"], Int64[np.ndarray, "K 2"]]:
    """The two voxels of every cluster that lie farthest out along its first principal axis.

    Args:
        coords: voxel index.
        clusters: of each voxel, negative for none.

    Returns:
        The clusters in ascending order, and the rows of the two ends of each (the same row for a single voxel).
    """
    rows = np.flatnonzero(clusters >= 0)
    order = rows[np.argsort(clusters[rows], kind="stable")]
    found, starts, sizes = np.unique(clusters[order], return_index=True, return_counts=True)
    if not len(found):
        return found, np.empty((0, 2), dtype=np.int64)
    points = coords[order].astype(np.float64)
    weights = np.ones(len(points))
    axes, centres = _principal_axes(points, weights, starts)
    along = np.einsum("nd,nd->n", points - np.repeat(centres, sizes, axis=0), np.repeat(axes, sizes, axis=0))
    # rounded, so that ties on the grid are ties whatever the order of the sums was
    ranked = np.lexsort((order, np.round(along, 6), clusters[order]))
    return found, np.stack([order[ranked[starts]], order[ranked[starts + sizes - 1]]], axis=1)


def local_directions(
    coords: Int32[np.ndarray, "N D"],
    clusters: Int64[np.ndarray, " N"],
    points: Int64[np.ndarray, " P"],
    radius: float,
) -> tuple[Float64[np.ndarray, "P D"], Int64[np.ndarray, " P"]]:
    """Direction of the cluster of a voxel near that voxel.

    It is the first principal axis of the cluster's voxels within `radius`, pointing from their mean to the voxel:
    outwards at an end.

    Args:
        coords: voxel index.
        clusters: of each voxel, negative for none.
        points: rows of voxels that are in a cluster.
        radius: voxels, Euclidean.

    Returns:
        Unit vectors, and the number of voxels each was found from; a direction from one voxel means nothing.
    """
    if not len(points):
        return np.empty((0, coords.shape[1])), np.empty(0, dtype=np.int64)
    order = np.argsort(clusters, kind="stable")
    first = np.searchsorted(clusters[order], clusters[points], side="left")
    sizes = np.searchsorted(clusters[order], clusters[points], side="right") - first
    starts = np.cumsum(sizes) - sizes
    # all voxels of the cluster of point 0, then of that of point 1, ...
    members = order[np.arange(int(sizes.sum())) + np.repeat(first - starts, sizes)]
    places = (coords[members] - np.repeat(coords[points], sizes, axis=0)).astype(np.float64)
    near = np.einsum("nd,nd->n", places, places) <= radius**2
    weights = near.astype(np.float64)
    axes, centres = _principal_axes(places, weights, starts)
    outwards = -np.einsum("pd,pd->p", centres, axes)  # the voxel is at the origin
    return np.where(outwards[:, None] < 0, -axes, axes), np.add.reduceat(near.astype(np.int64), starts)


def _principal_axes(
    points: Float64[np.ndarray, "M D"], weights: Float64[np.ndarray, " M"], starts: Int64[np.ndarray, " G"]
) -> tuple[Float64[np.ndarray, "G D"], Float64[np.ndarray, "G D"]]:
    """First principal axis and mean of consecutive groups of points; no group is empty or without weight."""
    total = np.add.reduceat(weights, starts)[:, None]
    dim = points.shape[1]
    weighted = points * weights[:, None]
    centres = np.add.reduceat(weighted, starts) / total
    squares = np.empty((len(starts), dim, dim))
    for i in range(dim):
        for j in range(i + 1):
            mean = np.add.reduceat(weighted[:, i] * points[:, j], starts) / total[:, 0]
            squares[:, i, j] = squares[:, j, i] = mean - centres[:, i] * centres[:, j]
    return np.linalg.eigh(squares)[1][:, :, -1], centres

"""Connected components of voxels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Int64
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

__all__ = ["connected_components"]


def connected_components(
    coords: Int[np.ndarray, "N D"], labels: Int[np.ndarray, " N"] | None = None
) -> Int64[np.ndarray, " N"]:
    """Group voxels that touch, by face, edge or corner (3^D - 1 neighbours: 8 in 2D, 26 in 3D).

    O(N log N), for any extent of the coordinates.

    Args:
        coords: voxel index.
        labels: only voxels of one label are joined; voxels with a negative label ("not labelled") get -1 and
            join nothing.

    Returns:
        Component of each voxel, 0..K-1 in the order of their first voxels; ids are unique over labels.

    Raises:
        ValueError: `coords` are not (N, D) integers, or `labels` has another length.
    """
    if coords.ndim != 2 or not np.issubdtype(coords.dtype, np.integer):
        raise ValueError(f"coords must be (N, D) integers, not {coords.dtype} of shape {coords.shape}")
    if labels is not None and labels.shape != (len(coords),):
        raise ValueError(f"labels have shape {labels.shape}, expected ({len(coords)},)")
    component = np.full(len(coords), -1, dtype=np.int64)
    rows = np.arange(len(coords)) if labels is None else np.flatnonzero(labels >= 0)
    if len(rows) == 0:
        return component
    pairs = cKDTree(coords[rows]).query_pairs(r=1, p=np.inf, output_type="ndarray")
    if labels is not None:
        pairs = pairs[labels[rows[pairs[:, 0]]] == labels[rows[pairs[:, 1]]]]
    ones = np.ones(len(pairs), dtype=np.int8)
    graph = sparse.coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    _, found = csgraph.connected_components(graph, directed=False)
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    component[rows] = np.argsort(np.argsort(first))[inverse]
    return component

"""Cutting clusters into their connected parts."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int32, Int64

from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.cluster.refinement import RefinementConfig

__all__ = ["SplitUnconnectedConfig", "split_unconnected"]


class SplitUnconnectedConfig(RefinementConfig):
    """Clusters are cut into parts whose voxels touch (26 neighbours in 3D, 8 in 2D)."""

    kind: Literal["split_unconnected"] = "split_unconnected"

    def refine(self, coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """See `RefinementConfig.refine`."""
        return split_unconnected(coords, clusters)


def split_unconnected(coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The connected parts of every cluster, equal to `connected_components` with the clusters as labels.

    O(N log N), a few ms for 10,000 voxels where the compiled code is there.

    Args:
        coords: voxel index.
        clusters: of each voxel, -1 for none; -1 stays -1.

    Returns:
        Clusters 0..K-1 in the order of their first voxels.
    """
    return connected_components(coords, clusters)

"""Giving small clusters to their neighbours."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Int32, Int64
from pydantic import Field
from scipy.spatial import cKDTree

from lartpc_sparse.cluster.numbering import numbered_by_first
from lartpc_sparse.cluster.refinement import RefinementConfig
from lartpc_sparse.cluster.voxel_graph import near_pairs

__all__ = ["AbsorbSmallConfig", "absorb_small"]


class AbsorbSmallConfig(RefinementConfig):
    """Small clusters go to the cluster that they touch most, or to the nearest one."""

    kind: Literal["absorb_small"] = "absorb_small"
    min_voxels: int = Field(5, ge=1, description="clusters with fewer voxels than this are given away")
    radius: float = Field(
        0.0,
        ge=0,
        le=100,
        description="one that touches no other cluster goes to the nearest within this distance, voxels; 0: it stays",
    )

    def refine(self, coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """See `RefinementConfig.refine`."""
        return absorb_small(coords, clusters, min_voxels=self.min_voxels, radius=self.radius)


def absorb_small(
    coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"], *, min_voxels: int, radius: float = 0.0
) -> Int64[np.ndarray, " N"]:
    """Give clusters of fewer than `min_voxels` voxels to larger ones (Graph-SPICE does so below 3 voxels).

    In rounds, until nothing changes, all small clusters that touch one that is not small go to the one with which
    they share most pairs of neighbouring voxels, the lowest of equals. So a chain of small clusters follows its end.
    Those that are left go to the nearest cluster that is not small within `radius`, by the distance of the closest
    voxels, the lowest of equals; otherwise they stay.

    Args:
        coords: voxel index.
        clusters: of each voxel, -1 for none; -1 stays -1.
        min_voxels: least size of a cluster that is not small.
        radius: voxels, Euclidean.

    Returns:
        Clusters 0..K-1 in the order of their first voxels.
    """
    clusters = numbered_by_first(clusters)
    number = int(clusters.max(initial=-1)) + 1
    touching = near_pairs(coords, np.where(clusters >= 0, 0, -1), 1)
    touching = touching[clusters[touching[:, 0]] != clusters[touching[:, 1]]]
    while True:
        small = _small(clusters, number, min_voxels)
        ends = clusters[touching]
        links = np.concatenate([ends, ends[:, ::-1]])
        links = links[small[links[:, 0]] & ~small[links[:, 1]]]
        if not len(links):
            break
        keys, shared = np.unique(links[:, 0] * number + links[:, 1], return_counts=True)
        clusters = _given(clusters, number, keys, -shared)
    if radius > 0 and small.any():
        clusters = _to_the_nearest(coords, clusters, small, radius)
    return numbered_by_first(clusters)


def _small(clusters: Int64[np.ndarray, " N"], number: int, min_voxels: int) -> Bool[np.ndarray, " K"]:
    sizes = np.bincount(clusters[clusters >= 0], minlength=number)
    return np.asarray((sizes > 0) & (sizes < min_voxels))


def _given(
    clusters: Int64[np.ndarray, " N"], number: int, keys: Int64[np.ndarray, " L"], cost: np.ndarray
) -> Int64[np.ndarray, " N"]:
    """Every cluster given to the one of least cost; a key is giver * number + receiver."""
    giver, receiver = np.divmod(keys, number)
    order = np.lexsort((receiver, cost, giver))
    giver, first = np.unique(giver[order], return_index=True)
    target = np.arange(number + 1)
    target[-1] = -1
    target[giver] = receiver[order][first]
    given: Int64[np.ndarray, " N"] = target[clusters]
    return given


def _to_the_nearest(
    coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"], small: Bool[np.ndarray, " K"], radius: float
) -> Int64[np.ndarray, " N"]:
    lonely = np.append(small, False)[clusters]  # -1 takes the last entry
    givers, receivers = np.flatnonzero(lonely), np.flatnonzero(~lonely & (clusters >= 0))
    if not len(receivers):
        return clusters
    found = cKDTree(coords[givers]).sparse_distance_matrix(
        cKDTree(coords[receivers]), np.nextafter(radius, np.inf), output_type="ndarray"
    )
    keys = clusters[givers[found["i"]]] * len(small) + clusters[receivers[found["j"]]]
    return _given(clusters, len(small), keys, found["v"])

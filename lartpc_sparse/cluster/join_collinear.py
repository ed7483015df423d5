"""Joining pieces of broken tracks."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64, Int32, Int64
from pydantic import Field
from scipy.cluster.hierarchy import DisjointSet
from scipy.spatial import cKDTree

from lartpc_sparse.cluster.directions import cluster_ends, local_directions
from lartpc_sparse.cluster.numbering import numbered_by_first
from lartpc_sparse.cluster.refinement import RefinementConfig

__all__ = ["JoinCollinearConfig", "join_collinear"]


class JoinCollinearConfig(RefinementConfig):
    """Clusters whose ends face each other along one line are joined."""

    kind: Literal["join_collinear"] = "join_collinear"
    max_gap: float = Field(10.0, gt=0, description="longest distance between the two ends, voxels")
    max_angle_deg: float = Field(15.0, gt=0, le=90, description="largest angle between the directions there, degrees")
    max_offset: float = Field(
        3.0, gt=0, description="farthest an end may lie beside the line through the other, or behind it, voxels"
    )
    min_voxels: int = Field(8, ge=2, description="pieces with fewer voxels than this are not joined")
    end_radius: float = Field(10.0, gt=0, description="voxels around an end that give its direction, voxels")

    def refine(self, coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """See `RefinementConfig.refine`."""
        return join_collinear(
            coords,
            clusters,
            max_gap=self.max_gap,
            max_angle_deg=self.max_angle_deg,
            max_offset=self.max_offset,
            min_voxels=self.min_voxels,
            end_radius=self.end_radius,
        )


def join_collinear(
    coords: Int32[np.ndarray, "N D"],
    clusters: Int64[np.ndarray, " N"],
    *,
    max_gap: float,
    max_angle_deg: float,
    max_offset: float,
    min_voxels: int,
    end_radius: float,
) -> Int64[np.ndarray, " N"]:
    """Join clusters end to end where they continue each other.

    A cluster has two ends (`cluster_ends`), each with a direction outwards (`local_directions` within `end_radius`).
    Two ends a and b of different clusters may be joined when, with g = x_b - x_a and outward directions u,

        |g| <= max_gap,   angle(u_a, -u_b) <= max_angle_deg,
        |g - (g.u) u| <= max_offset and g.u >= -max_offset   for u = u_a and for u = -u_b.

    Pairs are taken in the order of their angle, then of |g|; every end is used once.

    Args:
        coords: voxel index.
        clusters: of each voxel, -1 for none; -1 stays -1.
        max_gap: voxels, Euclidean.
        max_angle_deg: degrees.
        max_offset: voxels.
        min_voxels: smaller clusters are left alone.
        end_radius: voxels.

    Returns:
        Clusters 0..K-1 in the order of their first voxels.
    """
    clusters = numbered_by_first(clusters)
    sizes = np.bincount(clusters[clusters >= 0])
    long = np.append(sizes >= min_voxels, False)[clusters]  # -1 takes the last entry
    _, ends = cluster_ends(coords, np.where(long, clusters, -1))
    if len(ends) < 2:
        return clusters
    rows = ends.reshape(-1)
    outwards, _ = local_directions(coords, clusters, rows, end_radius)
    joined = DisjointSet(range(len(sizes)))
    used: set[int] = set()
    limits = {"max_gap": max_gap, "max_angle_deg": max_angle_deg, "max_offset": max_offset}
    for a, b in _facing(coords[rows], clusters[rows], outwards, **limits).tolist():
        if a not in used and b not in used:
            used |= {a, b}
            joined.merge(int(clusters[rows[a]]), int(clusters[rows[b]]))
    if not used:
        return clusters
    target = np.array([*(joined[number] for number in range(len(sizes))), -1])
    return numbered_by_first(target[clusters])


def _facing(
    places: Int32[np.ndarray, "P D"],
    owner: Int64[np.ndarray, " P"],
    outwards: Float64[np.ndarray, "P D"],
    *,
    max_gap: float,
    max_angle_deg: float,
    max_offset: float,
) -> Int64[np.ndarray, "C 2"]:
    """Pairs of ends that may be joined, the best first."""
    pairs = cKDTree(places).query_pairs(max_gap, output_type="ndarray").astype(np.int64)
    a, b = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]].T
    gap = (places[b] - places[a]).astype(np.float64)
    angle = np.degrees(np.arccos(np.clip(-np.einsum("pd,pd->p", outwards[a], outwards[b]), -1.0, 1.0)))
    fits = angle <= max_angle_deg
    for along in (outwards[a], -outwards[b]):
        ahead = np.einsum("pd,pd->p", gap, along)
        beside = np.linalg.norm(gap - ahead[:, None] * along, axis=1)
        fits &= (beside <= max_offset) & (ahead >= -max_offset)
    length = np.linalg.norm(gap, axis=1)
    order = np.lexsort((b, a, np.round(length, 6), np.round(angle, 6)))
    order = order[fits[order]]
    return np.stack([a[order], b[order]], axis=1)

"""The path along each cluster: its two ends, its length, and the energy along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse
from scipy.sparse import csgraph

from lartpc_sparse.cluster.particles.clusters import Clusters
from lartpc_sparse.cluster.particles.shape import Shapes

__all__ = ["Paths", "Profile", "find_paths", "make_profile"]


@dataclass(frozen=True)
class Paths:
    """The principal path of each cluster.

    Attributes:
        ends: places of the first and the last voxel.
        along: how far the voxel at each place is from the first end, in voxels, along the cluster.
    """

    ends: Int64[np.ndarray, "K 2"]
    along: Float64[np.ndarray, " M"]


@dataclass(frozen=True)
class Profile:
    """The clusters cut into S slabs of equal width along their paths; slabs of a cluster in order from its first end.

    Attributes:
        cluster: of each slab.
        reached: path length from the first end to the middle of the slab, in voxels.
        step: path length in the slab, in voxels.
        energy: in the slab.
        length: path length of each of the K clusters, in voxels.
    """

    cluster: Int64[np.ndarray, " S"]
    reached: Float64[np.ndarray, " S"]
    step: Float64[np.ndarray, " S"]
    energy: Float64[np.ndarray, " S"]
    length: Float64[np.ndarray, " K"]


def find_paths(clusters: Clusters, shapes: Shapes, pairs: Int64[np.ndarray, "E 2"]) -> Paths:
    """The two ends of each cluster that are farthest apart along it, and how far each voxel is from the first.

    Farthest apart on the graph of touching voxels: the voxel farthest from an extreme point, and the one farthest from
    that (exact for a tree, Bulterman et al. 2002). A cluster of unconnected parts takes the extreme points of its
    principal axis, and distances along the axis.

    Args:
        clusters: of an event.
        shapes: of the clusters.
        pairs: places of each two voxels of one cluster that touch.
    """
    axis_end = shapes.end_places[:, 0]
    away = shapes.positions - shapes.ends[clusters.number, 0]
    straight = np.einsum("md,md->m", away, shapes.axis[clusters.number])
    if not len(pairs):
        return Paths(shapes.end_places, straight)
    weight = np.linalg.norm(shapes.positions[pairs[:, 0]] - shapes.positions[pairs[:, 1]], axis=1)
    size = len(clusters.rows)
    graph = sparse.csr_array((weight, (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    from_axis = _distances(graph, axis_end)
    unconnected = clusters.total((~np.isfinite(from_axis)).astype(np.int64)) > 0
    first = clusters.largest(np.where(np.isfinite(from_axis), from_axis, -1.0))
    along = _distances(graph, first)
    last = clusters.largest(np.where(np.isfinite(along), along, -1.0))
    ends = np.where(unconnected[:, None], shapes.end_places, np.stack([first, last], axis=1))
    return Paths(ends, np.where(unconnected[clusters.number], straight, along))


def _distances(graph: sparse.csr_array, sources: Int64[np.ndarray, " K"]) -> Float64[np.ndarray, " M"]:
    """Distance of each node to the only source that it may be connected to, inf if it is not."""
    return np.asarray(csgraph.dijkstra(graph, directed=False, indices=sources, min_only=True))


def make_profile(clusters: Clusters, shapes: Shapes, paths: Paths, width: float) -> Profile:
    """Energy and path length in slabs of the clusters.

    The path goes through the mean positions of the slabs, not from voxel to voxel, which would zigzag.

    Args:
        clusters: of an event.
        shapes: of the clusters.
        paths: of the clusters.
        width: of a slab, in voxels of `Paths.along`.
    """
    slab = np.floor(np.maximum(paths.along, 0.0) / width).astype(np.int64)
    many = int(slab.max(initial=0)) + 1
    keys, inverse, count = np.unique(clusters.number * many + slab, return_inverse=True, return_counts=True)
    energy = np.bincount(inverse, shapes.energy, len(keys)).astype(np.float64)  # without voxels it is whole numbers
    mean = np.stack([np.bincount(inverse, axis, len(keys)) / count for axis in shapes.positions.T], axis=1)
    cluster = keys // many
    same = cluster[1:] == cluster[:-1]
    hop = np.where(same, np.linalg.norm(np.diff(mean, axis=0), axis=1), np.nan)
    before, after = np.append(np.nan, hop)[: len(keys)], np.append(hop, np.nan)[: len(keys)]
    alone = np.isnan(before) & np.isnan(after)
    # a slab reaches half way to its neighbours; the first and the last from or to the end voxel
    first, last = np.isnan(before), np.isnan(after)
    to_end = np.zeros(len(keys))
    for rows, end in ((first, 0), (last, 1)):
        to_end[rows] += np.linalg.norm(mean[rows] - shapes.positions[paths.ends[cluster[rows], end]], axis=1) + 0.5
    step = np.where(alone, to_end, np.nan_to_num(before) / 2 + np.nan_to_num(after) / 2 + to_end)
    length = np.bincount(cluster, step, len(clusters)).astype(np.float64)
    total = np.cumsum(step) - step / 2
    begin = np.append(0.0, np.cumsum(length))[:-1]
    return Profile(cluster, total - begin[cluster], step, energy, length)

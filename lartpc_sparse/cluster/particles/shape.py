"""Size, energy, principal axis and extreme points of all clusters of an event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

from lartpc_sparse.cluster.particles.clusters import Clusters

__all__ = ["Shapes", "direction_at", "find_shapes", "principal_axes"]


@dataclass(frozen=True)
class Shapes:
    """Geometry of K clusters in D axes; positions are voxel centres, in voxels.

    Attributes:
        positions: of the voxel at each of the M places of the clusters.
        energy: of the voxel at each place.
        centre: mean position of each cluster, weighted with the energy.
        total: energy of each cluster.
        axis: unit vector along which the cluster is longest; its sign means nothing.
        ends: the two voxels of each cluster that lie farthest apart along the axis.
        end_places: their places.
    """

    positions: Float64[np.ndarray, "M D"]
    energy: Float64[np.ndarray, " M"]
    centre: Float64[np.ndarray, "K D"]
    total: Float64[np.ndarray, " K"]
    axis: Float64[np.ndarray, "K D"]
    ends: Float64[np.ndarray, "K 2 D"]
    end_places: Int64[np.ndarray, "K 2"]


def principal_axes(covariance: Float64[np.ndarray, "K D D"]) -> Float64[np.ndarray, "K D"]:
    """Unit eigenvector of the largest eigenvalue of each matrix; the last axis of space where all are equal."""
    return np.linalg.eigh(covariance)[1][:, :, -1]


def find_shapes(clusters: Clusters, positions: Float[np.ndarray, "M D"], energy: Float[np.ndarray, " M"]) -> Shapes:
    """Geometry of the clusters of an event.

    Args:
        clusters: of the event.
        positions: voxel centre at each of their places, in voxels.
        energy: of the voxel at each place; values below 0 weigh nothing.
    """
    place = positions.astype(np.float64)
    weight = np.maximum(np.nan_to_num(energy.astype(np.float64)), 0.0) + 1e-9
    total = clusters.total(energy.astype(np.float64))
    centre = clusters.total(place * weight[:, None]) / clusters.total(weight)[:, None]
    offset = place - clusters.mean(place)[clusters.number]
    axis = principal_axes(_second_moments(clusters, offset, np.ones(len(offset))))
    along = np.einsum("md,md->m", offset, axis[clusters.number])
    ends = np.stack([clusters.largest(-along), clusters.largest(along)], axis=1)
    return Shapes(place, energy.astype(np.float64), centre, total, axis, place[ends], ends)


def direction_at(
    clusters: Clusters,
    shapes: Shapes,
    start: Float64[np.ndarray, "K D"],
    radius: float,
) -> Float64[np.ndarray, "K D"]:
    """Unit vector of each cluster at its start: the principal axis of its voxels within `radius`, pointing away.

    A cluster with fewer than three voxels there uses all its voxels. NaN for a cluster of one voxel.

    Args:
        clusters: of the event.
        shapes: of the clusters.
        start: of each cluster, in voxels.
        radius: voxels.
    """
    away = shapes.positions - start[clusters.number]
    near = np.einsum("md,md->m", away, away) <= radius**2
    few = clusters.total(near.astype(np.int64)) < 3
    weight = (near | few[clusters.number]).astype(np.float64)
    count = np.maximum(clusters.total(weight), 1.0)
    mean = clusters.total(away * weight[:, None]) / count[:, None]
    offset = away - mean[clusters.number]
    axis = principal_axes(_second_moments(clusters, offset, weight))
    axis *= np.where((axis * mean).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    axis[clusters.sizes < 2] = np.nan
    return axis


def _second_moments(
    clusters: Clusters, offset: Float64[np.ndarray, "M D"], weight: Float64[np.ndarray, " M"]
) -> Float64[np.ndarray, "K D D"]:
    """Weighted sums of the products of two axes; each product by itself, which is faster than all at once."""
    dim = offset.shape[1]
    moments = np.empty((len(clusters), dim, dim))
    for one in range(dim):
        weighted = weight * offset[:, one]
        for other in range(one, dim):
            moments[:, one, other] = moments[:, other, one] = clusters.total(weighted * offset[:, other])
    return moments

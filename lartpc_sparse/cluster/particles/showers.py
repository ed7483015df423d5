"""Shower fragments to showers, by geometry.

A fragment belongs to one of more energy that it lies ahead of: close to the line from that fragment's start through
its centre, the closer the more energy it has itself. Low-energy fragments scatter widely, so their cone is wide; a
fragment of much energy off the line is a shower of its own.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import Field
from scipy.spatial.distance import cdist

from lartpc_sparse.cluster.particles.clusters import Clusters
from lartpc_sparse.cluster.particles.shape import Shapes
from lartpc_sparse.schema import Config

__all__ = ["ShowerGroupingConfig", "shower_roots"]


class ShowerGroupingConfig(Config):
    """Cuts of the grouping; chosen on simulated training events (docs/particles.md)."""

    angle_deg: float = Field(
        12.0, gt=0, le=180, description="widest angle of a fragment of `angle_energy_mev` to the line, degrees"
    )
    angle_energy_mev: float = Field(50.0, gt=0, description="see `angle_deg`, MeV or the detector's units")
    angle_power: float = Field(
        0.7, ge=0, description="the widest angle falls with the fragment's energy to this power; 0: it does not"
    )
    widest_deg: float = Field(25.0, gt=0, le=180, description="widest angle of any fragment, degrees")
    gap: float = Field(500.0, ge=0, description="farthest nearest voxel of the fragment that it is joined to, voxels")
    angle_scale_deg: float = Field(
        10.0,
        gt=0,
        description="of the fragments it may belong to, the one with the least gap (1 + angle / this) counts",
    )


def shower_roots(
    clusters: Clusters,
    shapes: Shapes,
    shower: Bool[np.ndarray, " K"],
    config: ShowerGroupingConfig,
) -> Int64[np.ndarray, " K"]:
    """The fragment of most energy of the shower that each cluster belongs to; a cluster that is no shower, itself.

    Args:
        clusters: of an event.
        shapes: of the clusters.
        shower: whether a cluster is a fragment of a shower.
        config: the cuts.
    """
    root = np.arange(len(clusters), dtype=np.int64)
    own = np.flatnonzero(shower)
    if len(own) < 2:
        return root
    angle, gap, energy = _angles(shapes, own), _gaps(clusters, shapes, own), shapes.total[own]
    scaled = np.maximum(energy, 1e-6) / config.angle_energy_mev
    widest = np.minimum(config.angle_deg * scaled**-config.angle_power, config.widest_deg)
    # of equal energies the first is the parent, so that no two fragments are each other's
    rank = np.empty(len(own), dtype=np.int64)
    rank[np.lexsort((np.arange(len(own)), -energy))] = np.arange(len(own))
    allowed = (rank[:, None] < rank) & (angle <= widest) & (gap <= config.gap)
    cost = np.where(allowed, (gap + 1.0) * (1.0 + angle / config.angle_scale_deg), np.inf)
    parent = np.where(allowed.any(axis=0), cost.argmin(axis=0), np.arange(len(own)))
    while (parent[parent] != parent).any():
        parent = parent[parent]
    root[own] = own[parent]
    return root


def _gaps(clusters: Clusters, shapes: Shapes, own: Int64[np.ndarray, " S"]) -> Float64[np.ndarray, "S S"]:
    """Distance from an end of one fragment to the nearest voxel of the other, the shorter way."""
    ends = shapes.ends[own].reshape(-1, shapes.ends.shape[2])
    near = clusters.nearest(ends, shapes.positions).reshape(len(own), 2, -1).min(axis=1)[:, own]
    return np.asarray(np.minimum(near, near.T))


def _angles(shapes: Shapes, own: Int64[np.ndarray, " S"]) -> Float64[np.ndarray, "S S"]:
    """Angle in degrees of fragment j (column) as seen from the start of fragment i, to the line to i's centre.

    The start is the end of i that is farther from j: then i points at j.
    """
    centre = shapes.centre[own]
    cosines, lengths = [], []
    for ends in shapes.ends[own].transpose(1, 0, 2):
        line = centre - ends
        length = cdist(ends, centre)
        along = line @ centre.T - np.einsum("sd,sd->s", line, ends)[:, None]
        cosines.append(along / np.maximum(length * np.linalg.norm(line, axis=1)[:, None], 1e-9))
        lengths.append(length)
    chosen = np.where(lengths[0] >= lengths[1], *cosines)
    return np.asarray(np.degrees(np.arccos(np.clip(chosen, -1.0, 1.0))))

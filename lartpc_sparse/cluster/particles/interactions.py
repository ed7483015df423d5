"""Particles to interactions: those that touch, and showers that point back to a vertex."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import Field
from scipy import sparse
from scipy.sparse import csgraph

from lartpc_sparse.schema import Config

__all__ = ["InteractionConfig", "find_interactions", "find_vertices"]


class InteractionConfig(Config):
    """Cuts; chosen on simulated training events (docs/particles.md)."""

    touch: float = Field(4.0, ge=0, description="particles of which one ends so near to a voxel of the other, voxels")
    shower_touch: float = Field(8.0, ge=0, description="the same for a shower and the end of a track, voxels")
    pointing_deg: float = Field(
        25.0, ge=0, le=180, description="largest angle of a shower's axis to the line from a vertex to it, degrees"
    )
    pointing_distance: float = Field(400.0, ge=0, description="farthest vertex that a shower points back to, voxels")


def find_interactions(
    gap: Float64[np.ndarray, "P P"],
    end_gap: Float64[np.ndarray, "P P"],
    *,
    ends: Float64[np.ndarray, "P 2 D"],
    centre: Float64[np.ndarray, "P D"],
    axis: Float64[np.ndarray, "P D"],
    shower: Bool[np.ndarray, " P"],
    config: InteractionConfig,
) -> Int64[np.ndarray, " P"]:
    """Interaction of each particle, numbered in the order of their first particles.

    Args:
        gap: distance from an end of one to the nearest voxel of the other, the shorter way.
        end_gap: distance between the nearest ends.
        ends: of each particle.
        centre: of each particle, weighted with energy.
        axis: along which each particle is longest.
        shower: whether it is a shower; all others join by touching alone.
        config: cuts.
    """
    either = shower[:, None] | shower
    both = shower[:, None] & shower
    joined = ((gap <= config.touch) & ~either) | ((end_gap <= config.shower_touch) & either & ~both)
    found = _components(joined)
    points, owner = _corners(ends, shower)
    alone = shower & (np.bincount(found, minlength=len(found))[found] == 1)
    if not (len(points) and alone.any()):
        return found
    rows = np.flatnonzero(alone)
    line = centre[rows, None] - points
    length = np.maximum(np.linalg.norm(line, axis=2), 1e-9)
    cosine = np.abs((line * axis[rows, None]).sum(axis=2)) / length
    angle = np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0)))
    allowed = (angle <= config.pointing_deg) & (length <= config.pointing_distance)
    cost = np.where(allowed, (1.0 + length) * (1.0 + angle / 10.0), np.inf)
    best = cost.argmin(axis=1)
    good = allowed.any(axis=1)
    links = joined.copy()
    links[rows[good], owner[best[good]]] = True
    return _components(links)


def find_vertices(
    end_gap_sum: Float64[np.ndarray, "P 2"],
    ends: Float64[np.ndarray, "P 2 D"],
    interaction: Int64[np.ndarray, " P"],
) -> Float64[np.ndarray, "I D"]:
    """Vertex of each interaction: the end of one of its particles that is nearest to the others; NaN for a single one.

    Args:
        end_gap_sum: for each end the sum of its distances to the other particles of its interaction.
        ends: of each particle.
        interaction: of each particle, 0..I-1.
    """
    number = int(interaction.max(initial=-1)) + 1
    vertices = np.full((number, ends.shape[2]), np.nan)
    best = end_gap_sum.argmin(axis=1)
    cost = end_gap_sum.min(axis=1)
    order = np.lexsort((cost, interaction))
    _, first, count = np.unique(interaction[order], return_index=True, return_counts=True)
    chosen = order[first]
    several = count > 1
    vertices[several] = ends[chosen, best[chosen]][several]
    return vertices


def _corners(
    ends: Float64[np.ndarray, "P 2 D"], shower: Bool[np.ndarray, " P"]
) -> tuple[Float64[np.ndarray, "C D"], Int64[np.ndarray, " C"]]:
    """Points that showers may come from: both ends of everything but showers; and whose they are."""
    rows = np.flatnonzero(~shower)
    return ends[rows].reshape(-1, ends.shape[2]), np.repeat(rows, 2)


def _components(joined: Bool[np.ndarray, "P P"]) -> Int64[np.ndarray, " P"]:
    found = csgraph.connected_components(sparse.csr_array(joined), directed=False)[1]
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)

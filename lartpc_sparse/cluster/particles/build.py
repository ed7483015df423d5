"""Clusters of an event to its particles."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from pydantic import Field
from scipy.spatial.distance import cdist

from lartpc_sparse.cluster.particles.clusters import Clusters
from lartpc_sparse.cluster.particles.interactions import InteractionConfig, find_interactions, find_vertices
from lartpc_sparse.cluster.particles.path import find_paths, make_profile
from lartpc_sparse.cluster.particles.shape import Shapes, direction_at, find_shapes
from lartpc_sparse.cluster.particles.showers import ShowerGroupingConfig, shower_roots
from lartpc_sparse.cluster.particles.table import ParticleTable
from lartpc_sparse.cluster.particles.track_type import TrackTypeConfig, find_track_types
from lartpc_sparse.cluster.voxel_graph import near_pairs
from lartpc_sparse.schema import Config

__all__ = ["BuildConfig", "Particles", "build_particles"]

_MM_PER_CM = 10.0


class BuildConfig(Config):
    """How particles are made of clusters."""

    showers: ShowerGroupingConfig | None = Field(
        ShowerGroupingConfig(), description="fragments to showers; null: every fragment is a shower"
    )
    min_voxels: int = Field(
        1,
        ge=1,
        description="fewer voxels, all fragments of a shower together, are no particle (-1): low-energy depositions of "
        "a voxel or two are most of the rows, and time and memory go with the square of their number in an event",
    )
    interactions: InteractionConfig = InteractionConfig()
    track_type: TrackTypeConfig = TrackTypeConfig()
    direction_radius: float = Field(15.0, gt=0, description="the direction is that of so much around the start, voxels")
    parent_touch: float = Field(3.0, ge=0, description="farthest voxel of the track of a delta or Michel, voxels")
    voxel_size_mm: float = Field(3.0, gt=0, description="edge of a voxel, mm; for energy losses")


@dataclass(frozen=True)
class Particles:
    """Particles of an event of N voxels.

    Attributes:
        of_voxel: row of the table for each voxel, -1 none.
        table: the particles of at least `min_voxels`, in the order of the ids of their clusters; of a shower that with
            the most energy counts.
    """

    of_voxel: Int64[np.ndarray, " N"]
    table: ParticleTable


def build_particles(
    coords: Int[np.ndarray, "N D"],
    energy: Float[np.ndarray, " N"],
    cluster: Int[np.ndarray, " N"],
    semantic: Int[np.ndarray, " N"],
    *,
    classes: Sequence[str],
    config: BuildConfig,
) -> Particles:
    """Particles of an event: showers of their fragments, every other cluster by itself.

    Args:
        coords: voxel index.
        energy: of each voxel; NaN counts as none.
        cluster: id of each voxel's cluster, negative for none.
        semantic: class of each voxel; the most frequent one is the cluster's. -1 has no say.
        classes: names of the classes. `shower` has fragments, `track` a proton score, `delta` and `Michel` a parent;
            a class of another name has none of these.
        config: cuts.
    """
    energy = np.nan_to_num(energy.astype(np.float64))
    fragments = Clusters.of(cluster)
    shapes = find_shapes(fragments, coords[fragments.rows] + 0.5, energy[fragments.rows])
    kind = _most_frequent(fragments, semantic[fragments.rows], len(classes))
    root = np.arange(len(fragments), dtype=np.int64)
    if config.showers is not None:
        root = shower_roots(fragments, shapes, np.isin(kind, _numbers(classes, "shower")), config.showers)
    roots, member = np.unique(root, return_inverse=True)
    count = np.bincount(member, minlength=len(roots))
    kept = np.bincount(member[fragments.number], minlength=len(roots)) >= config.min_voxels
    row = np.where(kept, np.cumsum(kept) - 1, -1)
    roots, count = roots[kept], count[kept]
    of_voxel = np.full(len(coords), -1, dtype=np.int64)
    of_voxel[fragments.rows] = row[member[fragments.number]]
    table = _describe(
        coords,
        energy,
        of_voxel,
        kind=kind[roots],
        count=count,
        first_ends=shapes.ends[roots],
        classes=classes,
        config=config,
    )
    return Particles(of_voxel, table)


def _describe(
    coords: Int[np.ndarray, "N D"],
    energy: Float64[np.ndarray, " N"],
    of_voxel: Int64[np.ndarray, " N"],
    *,
    kind: Int64[np.ndarray, " P"],
    count: Int64[np.ndarray, " P"],
    first_ends: Float64[np.ndarray, "P 2 D"],
    classes: Sequence[str],
    config: BuildConfig,
) -> ParticleTable:
    """The table of the particles `of_voxel`; `first_ends` are those of a shower's largest fragment."""
    voxel_cm = config.voxel_size_mm / _MM_PER_CM
    whole = Clusters.of(of_voxel)
    here = coords[whole.rows]
    shapes = find_shapes(whole, here + 0.5, energy[whole.rows])
    shower, track = (np.isin(kind, _numbers(classes, name)) for name in ("shower", "track"))
    paths = find_paths(whole, shapes, _touching(whole, here, ~shower))
    profile = make_profile(whole, shapes, paths, config.track_type.slab)
    types = find_track_types(profile, track, voxel_cm, config.track_type)
    ends = np.where(shower[:, None, None], first_ends, shapes.positions[paths.ends])
    to_voxels = whole.nearest(ends.reshape(-1, here.shape[1]), shapes.positions).reshape(len(kind), 2, len(kind))
    interaction, vertex = _interactions(shapes, ends, to_voxels, shower, config.interactions)
    parent = _parents(to_voxels, np.isin(kind, _numbers(classes, "delta", "Michel")), track, config.parent_touch)
    flip = _flipped(
        shapes,
        ends,
        shower=shower,
        backwards=types.backwards,
        vertex=vertex[interaction],
        parent=parent,
        to_voxels=to_voxels,
    )
    ends = np.where(flip[:, None, None], ends[:, ::-1], ends)
    away = shapes.positions - ends[whole.number, 0]
    farthest = whole.largest(np.einsum("md,md->m", away, away))
    end = np.where(shower[:, None], shapes.positions[farthest], ends[:, 1])
    length = np.where(shower, np.linalg.norm(end - ends[:, 0], axis=1) + 1.0, profile.length)
    return ParticleTable(
        semantic=kind,
        voxels=whole.sizes,
        fragments=count,
        energy=shapes.total,
        start=ends[:, 0],
        end=end,
        direction=direction_at(whole, shapes, ends[:, 0], config.direction_radius),
        length=length,
        energy_loss=shapes.total / (length * voxel_cm),
        proton_score=np.where(track, types.proton, np.nan),
        parent=parent,
        interaction=interaction,
    )


def _interactions(
    shapes: Shapes,
    ends: Float64[np.ndarray, "P 2 D"],
    to_voxels: Float64[np.ndarray, "P 2 P"],
    shower: Bool[np.ndarray, " P"],
    config: InteractionConfig,
) -> tuple[Int64[np.ndarray, " P"], Float64[np.ndarray, "I D"]]:
    """Interaction of each particle, and the vertices of the interactions."""
    pairs = [cdist(ends[:, one], ends[:, other]) for one, other in itertools.product(range(2), repeat=2)]
    near = to_voxels.min(axis=1)
    found = find_interactions(
        np.minimum(near, near.T),
        np.minimum.reduce(pairs),
        ends=ends,
        centre=shapes.centre,
        axis=shapes.axis,
        shower=shower,
        config=config,
    )
    same = found[:, None] == found
    summed = (np.minimum(to_voxels, 100.0) * same[:, None]).sum(axis=2)
    return found, find_vertices(summed, ends, found)


def _parents(
    to_voxels: Float64[np.ndarray, "P 2 P"],
    attached: Bool[np.ndarray, " P"],
    track: Bool[np.ndarray, " P"],
    touch: float,
) -> Int64[np.ndarray, " P"]:
    """The track nearest to each attached particle, -1 where none touches."""
    near = to_voxels.min(axis=1)
    gap = np.where(attached[:, None] & track, np.minimum(near, near.T), np.inf)
    if not len(gap):
        return np.empty(0, dtype=np.int64)
    return np.where(gap.min(axis=1) <= touch, gap.argmin(axis=1), -1).astype(np.int64)


def _flipped(
    shapes: Shapes,
    ends: Float64[np.ndarray, "P 2 D"],
    *,
    shower: Bool[np.ndarray, " P"],
    backwards: Bool[np.ndarray, " P"],
    vertex: Float64[np.ndarray, "P D"],
    parent: Int64[np.ndarray, " P"],
    to_voxels: Float64[np.ndarray, "P 2 P"],
) -> Bool[np.ndarray, " P"]:
    """Whether the second end is the start.

    The first of these that tells: the end nearer to the parent; nearer to the vertex; of a shower the end farther from
    its centre; of others the end where the energy loss is lower.
    """
    from_centre = np.linalg.norm(ends - shapes.centre[:, None], axis=2)
    flip = np.where(shower, from_centre[:, 1] > from_centre[:, 0], backwards)
    from_vertex = np.linalg.norm(ends - vertex[:, None], axis=2)
    flip = np.where(np.isfinite(from_vertex[:, 0]), from_vertex[:, 1] < from_vertex[:, 0], flip)
    rows = np.flatnonzero(parent >= 0)
    from_parent = to_voxels[rows, :, parent[rows]]
    flip[rows] = from_parent[:, 1] < from_parent[:, 0]
    return flip


def _touching(
    clusters: Clusters, coords: Int[np.ndarray, "M D"], chosen: Bool[np.ndarray, " K"]
) -> Int64[np.ndarray, "E 2"]:
    """Places of touching voxels of one cluster, of the chosen clusters."""
    label = np.where(chosen[clusters.number], clusters.number, -1)
    return near_pairs(coords.astype(np.int32), label, 1)


def _most_frequent(clusters: Clusters, semantic: Int[np.ndarray, " M"], classes: int) -> Int64[np.ndarray, " K"]:
    """Most frequent class of each cluster, the first of equal ones; -1 without any."""
    rows = semantic >= 0
    counts = np.bincount(clusters.number[rows] * classes + semantic[rows], minlength=len(clusters) * classes)
    counts = counts.reshape(len(clusters), classes)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1).astype(np.int64)


def _numbers(classes: Sequence[str], *names: str) -> list[int]:
    return [number for number, name in enumerate(classes) if name in names]

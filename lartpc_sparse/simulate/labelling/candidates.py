"""Which fragments want a voxel, before precedence is applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, Int64

from lartpc_sparse.simulate.labelling.ancestry import Ancestry, Kind
from lartpc_sparse.simulate.labelling.components import VoxelKeys, connected_parts
from lartpc_sparse.simulate.labelling.rules import LabelRules
from lartpc_sparse.simulate.labelling.truth import Tracks

__all__ = ["Candidates", "Shares", "find_candidates", "sum_by"]


@dataclass(frozen=True)
class Shares:
    """What each particle left in each voxel; pairs occur once, sorted by particle and voxel.

    Attributes:
        head: track row of the particle.
        keys: number of the voxel.
        energy: MeV.
    """

    head: Int64[np.ndarray, " S"]
    keys: Int64[np.ndarray, " S"]
    energy: Float64[np.ndarray, " S"]


@dataclass(frozen=True)
class Candidates:
    """Claims of fragments on voxels; a pair of both occurs once.

    Attributes:
        keys: number of the voxel.
        energy: what the fragment left there, MeV.
        fragment: number of the fragment.
        kind: `Kind` of each of the F fragments.
        head: track row of the particle of each fragment.
    """

    keys: Int64[np.ndarray, " S"]
    energy: Float64[np.ndarray, " S"]
    fragment: Int64[np.ndarray, " S"]
    kind: Int64[np.ndarray, " F"]
    head: Int64[np.ndarray, " F"]


def sum_by(
    owner: Int[np.ndarray, " N"], keys: Int64[np.ndarray, " N"], energy: Float64[np.ndarray, " N"], count: int
) -> Shares:
    """Energy of every pair of owner and key; keys are below `count`."""
    pairs, inverse = np.unique(owner.astype(np.int64) * count + keys, return_inverse=True)
    return Shares(pairs // count, pairs % count, np.bincount(inverse, energy, minlength=len(pairs)).astype(np.float64))


def find_candidates(
    shares: Shares, tracks: Tracks, ancestry: Ancestry, voxels: VoxelKeys, rules: LabelRules
) -> Candidates:
    """Fragments of all particles.

    A track is one fragment. Of a Michel electron or delta ray, the connected part where it starts is the fragment,
    and the other parts are shower fragments of the same particle. A delta ray with fewer than `min_delta` voxels
    outside its parent, or with none that does not touch it, belongs to its parent.
    """
    kind = ancestry.kind[shares.head]
    part = np.full(len(kind), -1, dtype=np.int64)
    split = (kind == Kind.MICHEL) | (kind == Kind.SHOWER) | (kind == Kind.DELTA)
    part[split] = connected_parts(shares.head[split], shares.keys[split], voxels)
    begins = (kind == Kind.MICHEL) | (kind == Kind.DELTA)
    core = np.zeros(len(kind), dtype=bool)
    core[begins] = _cores(shares.head[begins], part[begins], shares.keys[begins], tracks, voxels)

    merged = core & (kind == Kind.DELTA)
    parent = ancestry.head[np.maximum(tracks.parent, 0)]
    merged[merged] = ~_stands_out(shares, merged, parent, voxels, rules.min_delta)
    head = np.where(merged, parent[shares.head], shares.head)
    kind = np.where(merged, Kind.TRACK, np.where(begins & ~core, Kind.SHOWER, kind))
    part[merged] = -1

    wanted = kind != Kind.NONE
    label = np.stack([head, part, kind])[:, wanted]
    names, fragment = np.unique(label, axis=1, return_inverse=True)
    summed = sum_by(fragment.ravel(), shares.keys[wanted], shares.energy[wanted], voxels.count)
    return Candidates(summed.keys, summed.energy, summed.head, kind=names[2], head=names[0])


def _cores(
    head: Int64[np.ndarray, " S"],
    part: Int64[np.ndarray, " S"],
    keys: Int64[np.ndarray, " S"],
    tracks: Tracks,
    voxels: VoxelKeys,
) -> Bool[np.ndarray, " S"]:
    """Whether a row is in the part of its particle that is nearest to where the particle starts."""
    distance = ((voxels.decode(keys) + 0.5 - tracks.start[head]) ** 2).sum(axis=1)
    order = np.lexsort((distance, head))
    first = order[np.flatnonzero(np.diff(head[order], prepend=-1))]  # the nearest row of every particle
    nearest = np.full(len(tracks), -1, dtype=np.int64)
    nearest[head[first]] = part[first]
    return np.asarray(part == nearest[head])


def _stands_out(
    shares: Shares,
    core: Bool[np.ndarray, " S"],
    parent: Int64[np.ndarray, " T"],
    voxels: VoxelKeys,
    min_delta: int,
) -> Bool[np.ndarray, " K"]:
    """For the K rows of cores of delta rays: whether their delta ray is more than a thickening of its parent."""
    delta, keys = shares.head[core], shares.keys[core]
    pairs = shares.head * voxels.count + shares.keys
    base = parent[delta] * voxels.count + keys
    outside = ~_among(base, pairs)
    steps = voxels.neighbours
    apart = outside.copy()
    apart[outside] = ~_among(base[outside, None] + steps, pairs).any(axis=1)
    num_outside = np.bincount(delta[outside], minlength=len(parent))
    num_apart = np.bincount(delta[apart], minlength=len(parent))
    stands_out = (num_outside >= min_delta) & (num_apart >= 1)
    return np.asarray(stands_out[delta])


def _among(values: Int64[np.ndarray, "..."], ordered: Int64[np.ndarray, " S"]) -> Bool[np.ndarray, "..."]:
    """Whether each value is one of the sorted ones."""
    if not len(ordered):
        return np.zeros(values.shape, dtype=bool)
    found = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[found] == values)

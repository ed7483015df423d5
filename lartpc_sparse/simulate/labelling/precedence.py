"""Which fragment gets a voxel that several want."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.simulate.labelling.ancestry import Kind
from lartpc_sparse.simulate.labelling.candidates import Candidates
from lartpc_sparse.simulate.labelling.rules import LabelRules

__all__ = ["resolve"]


def resolve(candidates: Candidates, keys: Int64[np.ndarray, " N"], rules: LabelRules) -> Int64[np.ndarray, " N"]:
    """Fragment of every voxel, -1 for low energy.

    Tracks choose first, then Michel electrons, showers and delta rays; among fragments of one kind the one that left
    most energy in the voxel has it. A fragment that ends with too few voxels gives them up to the others, the
    smallest first.

    Args:
        candidates: what the fragments want; its keys are among `keys`.
        keys: the voxels, sorted.
        rules: smallest sizes.
    """
    smallest = {
        Kind.TRACK: rules.min_track,
        Kind.MICHEL: rules.min_michel,
        Kind.SHOWER: rules.min_shower,
        Kind.DELTA: rules.min_delta,
    }
    voxel = np.searchsorted(keys, candidates.keys)
    taken = np.full(len(keys), -1, dtype=np.int64)
    for kind, size in smallest.items():
        rows = np.flatnonzero((candidates.kind[candidates.fragment] == kind) & (taken[voxel] < 0))
        claims = np.bincount(candidates.fragment[rows], minlength=len(candidates.kind))
        rows = rows[claims[candidates.fragment[rows]] >= size]
        while len(rows):
            # Of rows of one voxel the last has the most energy; the fragment's number makes ties repeatable.
            order = rows[np.lexsort((candidates.fragment[rows], candidates.energy[rows], voxel[rows]))]
            won = order[np.flatnonzero(np.diff(voxel[order], append=-1))]
            sizes = np.bincount(candidates.fragment[won], minlength=len(candidates.kind))
            left = np.unique(candidates.fragment[rows])
            smallest_left = left[np.argmin(sizes[left])]
            if sizes[smallest_left] >= size:
                taken[voxel[won]] = candidates.fragment[won]
                break
            rows = rows[candidates.fragment[rows] != smallest_left]  # one at a time: its voxels may save another
    return taken

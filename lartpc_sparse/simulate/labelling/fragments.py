"""The numbers of fragments and groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.classes import PILARNET
from lartpc_sparse.simulate.labelling.ancestry import Ancestry, Kind
from lartpc_sparse.simulate.labelling.candidates import Candidates
from lartpc_sparse.simulate.labelling.truth import Tracks

__all__ = ["NumberedFragments", "number_fragments", "particle_ids"]

_SEMANTIC = {
    Kind.TRACK: PILARNET.index("track"),
    Kind.MICHEL: PILARNET.index("Michel"),
    Kind.SHOWER: PILARNET.index("shower"),
    Kind.DELTA: PILARNET.index("delta"),
}
_PROTON, _NUCLEUS = 2212, 1_000_000_000


@dataclass(frozen=True)
class NumberedFragments:
    """The F fragments of an event, in the order of their numbers.

    Attributes:
        semantic: indices into `PILARNET`.
        group: number of the first fragment of the same particle.
        head: track row of the particle.
        interaction: number of its vertex.
        pid: see `particle_ids`.
    """

    semantic: Int64[np.ndarray, " F"]
    group: Int64[np.ndarray, " F"]
    head: Int64[np.ndarray, " F"]
    interaction: Int64[np.ndarray, " F"]
    pid: Int64[np.ndarray, " F"]


def number_fragments(
    candidates: Candidates, taken: Int64[np.ndarray, " N"], tracks: Tracks, ancestry: Ancestry
) -> tuple[NumberedFragments, Int64[np.ndarray, " N"]]:
    """Numbers for the fragments that have voxels, and the number of every voxel's fragment.

    They are ordered by interaction and particle; of one particle, its track, Michel electron or delta ray goes before
    its showers, and large pieces before small ones.
    """
    sizes = np.bincount(taken[taken >= 0], minlength=len(candidates.kind))
    present = np.flatnonzero(sizes)
    head, kind = candidates.head[present], candidates.kind[present]
    interaction = ancestry.interaction[head]
    order = np.lexsort((present, -sizes[present], kind != ancestry.kind[head], head, interaction))
    present, head, kind, interaction = present[order], head[order], kind[order], interaction[order]
    number = np.full(len(candidates.kind) + 1, -1, dtype=np.int64)  # the last entry serves -1
    number[present] = np.arange(len(present))
    starts = np.flatnonzero(np.diff(head, prepend=-1))
    group = starts[np.searchsorted(starts, np.arange(len(present)), side="right") - 1] if len(present) else present
    semantic = np.array([_SEMANTIC[Kind(k)] for k in kind], dtype=np.int64)
    return NumberedFragments(semantic, group, head, interaction, particle_ids(tracks.pdg[head])), number[taken]


def particle_ids(pdg: Int64[np.ndarray, " F"]) -> Int64[np.ndarray, " F"]:
    """PILArNet-M's particle type.

    0 photon, 1 electron or positron, 2 muon, 3 charged pion, 4 proton or nucleus, -1 any other.
    """
    ids = np.full(len(pdg), -1, dtype=np.int64)
    for number, code in enumerate((22, 11, 13, 211)):
        ids[np.abs(pdg) == code] = number
    ids[(pdg == _PROTON) | (pdg > _NUCLEUS)] = 4
    return ids

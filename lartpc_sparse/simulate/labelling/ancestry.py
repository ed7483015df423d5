"""Which particle a simulated track belongs to, and what kind of image that particle makes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Int, Int64

from lartpc_sparse.simulate.labelling.truth import Process, Tracks

__all__ = ["Ancestry", "Kind", "find_ancestry"]

MICHEL_MIN_MEV = 1.0
"""An electron of a captured muon below it comes from the atomic cascade (the 1s level is at 0.9 MeV), not its decay."""


class Kind(IntEnum):
    """What a particle may be labelled as; the order is that of precedence in a shared voxel."""

    TRACK = 0
    MICHEL = 1
    SHOWER = 2
    DELTA = 3
    NONE = 4
    """Neutral and not a photon: it has no image of its own."""


@dataclass(frozen=True)
class Ancestry:
    """One row a track.

    Attributes:
        head: row of the particle that the track belongs to; itself for the particle.
        kind: `Kind` of the track if it is a particle of its own.
        interaction: number of the vertex that it descends from.
    """

    head: Int64[np.ndarray, " T"]
    kind: Int64[np.ndarray, " T"]
    interaction: Int64[np.ndarray, " T"]


def find_ancestry(tracks: Tracks) -> Ancestry:
    """Particles of an event.

    Photons, electrons and positrons that come from one another are one particle, the first of them. Every other
    track is a particle: primaries, everything heavier than an electron, and the photons, electrons and positrons
    that something heavier makes (delta rays, Michel electrons, photons of a pi0 or of a nucleus).
    """
    row, parent = np.arange(len(tracks)), np.maximum(tracks.parent, 0)
    electromagnetic = np.isin(np.abs(tracks.pdg), (11, 22))
    primary = tracks.parent < 0
    is_head = primary | ~electromagnetic | ~electromagnetic[parent]
    root = _follow(np.where(primary, row, parent))
    return Ancestry(
        head=_follow(np.where(is_head, row, parent)),
        kind=_kinds(tracks, electromagnetic),
        interaction=tracks.interaction[root].astype(np.int64),
    )


def _kinds(tracks: Tracks, electromagnetic: Bool[np.ndarray, " T"]) -> Int64[np.ndarray, " T"]:
    parent, electron = np.maximum(tracks.parent, 0), np.abs(tracks.pdg) == 11
    of_charged = (tracks.parent >= 0) & (tracks.charge[parent] != 0)
    of_muon = electron & (np.abs(tracks.pdg[parent]) == 13) & (tracks.parent >= 0)
    decayed = (tracks.process == Process.DECAY) | (
        (tracks.process == Process.MUON_CAPTURE) & (tracks.kinetic_energy_mev > MICHEL_MIN_MEV)
    )
    kind = np.where(tracks.charge != 0, Kind.TRACK, Kind.NONE)
    kind[electromagnetic] = Kind.SHOWER
    kind[electron & (tracks.process == Process.IONISATION) & of_charged] = Kind.DELTA
    kind[of_muon & decayed] = Kind.MICHEL
    return kind.astype(np.int64)


def _follow(target: Int[np.ndarray, " T"]) -> Int64[np.ndarray, " T"]:
    """The end of the chain row -> target[row] -> ...; chains go downwards and end where a row is its own target."""
    target = target.astype(np.int64)
    while True:  # each turn doubles the length that is followed
        further = target[target]
        if np.array_equal(further, target):
            return target
        target = further

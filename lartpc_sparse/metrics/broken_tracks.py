"""Whether clustering keeps tracks whole across a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

__all__ = ["CrossedTrack", "continuity_summary", "crossed_tracks"]


@dataclass(frozen=True)
class CrossedTrack:
    """A true track with voxels on both sides of a gap, judged by its voxels outside of it.

    Attributes:
        voxels: outside of the gap.
        broken: the cluster that holds most of it differs between the sides, or there is none on one side.
        efficiency: share of its voxels in the cluster that holds most of it.
        purity: share of that cluster's labelled voxels that are of the track.
    """

    voxels: int
    broken: bool
    efficiency: float
    purity: float


def crossed_tracks(
    clusters: Int64[np.ndarray, " N"],
    track: Int64[np.ndarray, " N"],
    labelled: Int64[np.ndarray, " N"],
    side: Int64[np.ndarray, " N"],
    min_voxels: int = 5,
) -> list[CrossedTrack]:
    """The tracks of one event that a gap cuts.

    All ways of filling a gap are judged on the same voxels: those outside of it.

    Args:
        clusters: found cluster of each voxel outside of the gap, -1 for none.
        track: true track of each, -1 for voxels of no track.
        labelled: any number from 0 for a voxel whose particle is known, -1 for one that counts in no purity.
        side: 0 or 1.
        min_voxels: that a track must have on each side.
    """
    found = []
    known = labelled >= 0
    for number in np.unique(track[track >= 0]):
        own = track == number
        if min(int((own & (side == 0)).sum()), int((own & (side == 1)).sum())) < min_voxels:
            continue
        first, second = (_largest(clusters[own & (side == s)]) for s in (0, 1))
        best = _largest(clusters[own])
        inside = int((own & (clusters == best)).sum()) if best >= 0 else 0
        size = int((known & (clusters == best)).sum()) if best >= 0 else 0
        found.append(
            CrossedTrack(
                voxels=int(own.sum()),
                broken=first != second or first < 0,
                efficiency=inside / int(own.sum()),
                purity=inside / size if size else 0.0,
            )
        )
    return found


def _largest(clusters: Int64[np.ndarray, " N"]) -> int:
    """The most frequent cluster, -1 if there is none; the lowest number of equally frequent ones."""
    counts = np.bincount(clusters[clusters >= 0])
    return int(counts.argmax()) if len(counts) else -1


def continuity_summary(tracks: Sequence[CrossedTrack]) -> dict[str, Any]:
    """Number of tracks, rate of broken ones with binomial error, mean efficiency and purity; None without tracks."""
    if not tracks:
        return {"tracks": 0, "broken": None, "broken_error": None, "efficiency": None, "purity": None}
    rate = float(np.mean([one.broken for one in tracks]))
    return {
        "tracks": len(tracks),
        "broken": rate,
        "broken_error": float(np.sqrt(rate * (1 - rate) / len(tracks))),
        "efficiency": float(np.mean([one.efficiency for one in tracks])),
        "purity": float(np.mean([one.purity for one in tracks])),
    }

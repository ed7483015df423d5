"""Scores of tracks that cross gaps, and how they depend on the gap and on the track."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int

from lartpc_sparse.metrics.chamfer import chamfer_distance
from lartpc_sparse.metrics.earth_mover import earth_mover_distance
from lartpc_sparse.metrics.inpainting import charge_scores
from lartpc_sparse.metrics.voxel_counts import TolerantCounts, count_tolerant, detection_scores

__all__ = ["PROFILE_BINS", "Crossing", "CrossingScore", "Exact", "crossing_summary", "score_crossing"]

PROFILE_BINS = 10


@dataclass(frozen=True)
class Exact:
    """Voxels found, made up and missed."""

    found: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Exact) -> Exact:
        return Exact(self.found + other.found, self.false + other.false, self.missed + other.missed)

    def scores(self) -> dict[str, float | None]:
        """See `detection_scores`."""
        return detection_scores(self.found, self.false, self.missed)


@dataclass(frozen=True)
class CrossingScore:
    """What one way of filling made of one crossing.

    Attributes:
        exact: voxel counts.
        tolerant: the same with a tolerance of one voxel.
        charge: summed energy put in, MeV.
        chamfer: distance to the true voxels, voxels; None if nothing was put in.
        earth_mover: the same of the charge; None too when it was not asked for.
        profile: share of the true length between the ends -> energy, in equal bins, MeV.
    """

    exact: Exact
    tolerant: TolerantCounts
    charge: float
    chamfer: float | None
    earth_mover: float | None
    profile: Float64[np.ndarray, " P"]


@dataclass(frozen=True)
class Crossing:
    """A true track that goes into a gap and comes out of another face.

    Attributes:
        gap: number of the gap in its event.
        width: of the gap along the normal of the face of entry, voxels.
        angle_deg: between the line from end to end and the normal of the face, degrees.
        vertex_distance: from the nearest interaction vertex to the middle of the two ends, voxels; NaN: not known.
        kind: name of the class.
        length: from end to end, voxels.
        voxels: true ones in the gap.
        charge: true, MeV.
        profile: see `CrossingScore`.
        scores: by name of the way of filling.
    """

    gap: int
    width: float
    angle_deg: float
    vertex_distance: float
    kind: str
    length: float
    voxels: int
    charge: float
    profile: Float64[np.ndarray, " P"]
    scores: Mapping[str, CrossingScore]


def score_crossing(
    true: Int[np.ndarray, "T D"],
    true_energy: Float[np.ndarray, " T"],
    filled: Int[np.ndarray, "F D"],
    energy: Float[np.ndarray, " F"],
    ends: tuple[Float64[np.ndarray, " D"], Float64[np.ndarray, " D"]],
    *,
    earth_mover: bool,
) -> CrossingScore:
    """Compare what was filled for a track with its true voxels; `ends` are where it enters and leaves."""
    both = len(np.unique(np.concatenate([true, filled]), axis=0))
    found = len(true) + len(filled) - both
    return CrossingScore(
        exact=Exact(found, len(filled) - found, len(true) - found),
        tolerant=count_tolerant(filled, true),
        charge=float(energy.sum(dtype=np.float64)),
        chamfer=chamfer_distance(filled, true),
        earth_mover=earth_mover_distance(filled, energy, true, true_energy) if earth_mover else None,
        profile=profile_of(filled, energy, ends),
    )


def profile_of(
    coords: Int[np.ndarray, "F D"],
    energy: Float[np.ndarray, " F"],
    ends: tuple[Float64[np.ndarray, " D"], Float64[np.ndarray, " D"]],
) -> Float64[np.ndarray, " P"]:
    """Energy in equal bins along the line between the ends; what lies beyond them is in the first and last bin."""
    line = ends[1] - ends[0]
    share = (coords - ends[0]) @ line / max(float(line @ line), 1e-9)
    place = np.clip((share * PROFILE_BINS).astype(np.int64), 0, PROFILE_BINS - 1)
    return np.bincount(place, energy.astype(np.float64), PROFILE_BINS).astype(np.float64)


def crossing_summary(
    crossings: Sequence[Crossing], edges: Mapping[str, Sequence[float]], voxel_cm: float
) -> dict[str, Any]:
    """Scores of all crossings, and in bins, ready for JSON; undefined values are None.

    Args:
        crossings: of all events.
        edges: of the bins in `width` (voxels), `angle` (degrees) and `vertex_distance` (voxels); bin i is from edge i,
            inclusive, to edge i + 1, and the last one has no end.
        voxel_cm: edge of a voxel, cm.

    Returns:
        `crossings`; `methods`: scores by way of filling; `against`: for each quantity, and `class`, a list of bins with
        `from`, `to` or `name`, `crossings` and `methods`; `dedx`: profiles through the gap, MeV/cm.
    """
    values: dict[str, Callable[[Crossing], float]] = {
        "width": lambda one: one.width,
        "angle": lambda one: one.angle_deg,
        "vertex_distance": lambda one: one.vertex_distance,
    }
    against: dict[str, Any] = {}
    for name, limits in edges.items():
        number = np.array([values[name](one) for one in crossings], dtype=np.float64)
        bins = []
        for low, high in zip(limits, (*limits[1:], np.inf), strict=True):
            rows = np.flatnonzero((number >= low) & (number < high)).tolist()
            about = {"from": float(low), "to": None if np.isinf(high) else float(high)}
            bins.append({**about, **_methods([crossings[row] for row in rows])})
        against[name] = bins
    kinds = sorted({one.kind for one in crossings})
    against["class"] = [{"name": kind, **_methods([one for one in crossings if one.kind == kind])} for kind in kinds]
    return {**_methods(crossings), "against": against, "dedx": _dedx(crossings, voxel_cm)}


def _methods(crossings: Sequence[Crossing]) -> dict[str, Any]:
    names = list(crossings[0].scores) if crossings else []
    return {"crossings": len(crossings), "methods": {name: _scores(crossings, name) for name in names}}


def _scores(crossings: Sequence[Crossing], name: str) -> dict[str, Any]:
    own = [one.scores[name] for one in crossings]
    charge = charge_scores(
        np.array([one.charge for one in crossings], dtype=np.float64),
        np.array([score.charge for score in own], dtype=np.float64),
    )
    return {
        **sum((score.exact for score in own), Exact()).scores(),
        "tolerant": sum((score.tolerant for score in own), TolerantCounts()).scores(),
        "charge": {key: charge[key] for key in ("median", "half_width_68", "bias", "total_ratio")},
        "chamfer": _mean([score.chamfer for score in own]),
        "earth_mover": _mean([score.earth_mover for score in own]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _dedx(crossings: Sequence[Crossing], voxel_cm: float) -> dict[str, Any] | None:
    """Mean energy per length in equal parts of the way through the gap."""
    length = sum(one.length for one in crossings) * voxel_cm / PROFILE_BINS
    if length <= 0:
        return None

    def mean(profiles: Sequence[Float64[np.ndarray, " P"]]) -> list[float]:
        return [float(value) for value in np.sum(profiles, axis=0) / length]

    filled = {name: mean([one.scores[name].profile for one in crossings]) for name in crossings[0].scores}
    return {"unit": "MeV/cm", "true": mean([one.profile for one in crossings]), "methods": filled}

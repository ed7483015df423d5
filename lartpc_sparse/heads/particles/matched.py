"""Predicted particles against the true ones that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from sklearn.metrics import roc_auc_score

from lartpc_sparse.metrics.particles import match_particles
from lartpc_sparse.metrics.proportions import proportion

__all__ = ["MatchedParticles", "compare_matched", "proton_metrics"]

_PHOTON, _MIP, _PROTON = 0, (2, 3), 4


@dataclass(frozen=True)
class MatchedParticles:
    """One row a pair of a true and a predicted particle that overlap most, either way.

    Attributes:
        kind: predicted class, number in the head's classes.
        pid: true one, -1 unknown.
        start_distance: between the starts, voxels; NaN for photons, which start where nothing is seen.
        direction_deg: angle between the directions, degrees; NaN where the truth has none.
        energy_ratio: predicted sum / sum of all voxels of the true particle.
        kinetic_ratio: predicted sum / true kinetic energy.
        proton_score: predicted.
    """

    kind: Int64[np.ndarray, " Q"]
    pid: Int64[np.ndarray, " Q"]
    start_distance: Float64[np.ndarray, " Q"]
    direction_deg: Float64[np.ndarray, " Q"]
    energy_ratio: Float64[np.ndarray, " Q"]
    kinetic_ratio: Float64[np.ndarray, " Q"]
    proton_score: Float64[np.ndarray, " Q"]

    @classmethod
    def joined(cls, parts: Sequence[MatchedParticles]) -> MatchedParticles:
        """The rows of several events."""
        whole = {"kind": np.int64, "pid": np.int64}
        columns = {
            field.name: np.concatenate(
                [np.empty(0, dtype=whole.get(field.name, np.float64)), *(getattr(part, field.name) for part in parts)]
            )
            for field in fields(cls)
        }
        return cls(**columns)


def compare_matched(
    truth: Mapping[str, Int64[np.ndarray, " N"]],
    kind: Int64[np.ndarray, " N"],
    energy: Shaped[np.ndarray, " N"],
    particle: Int64[np.ndarray, " N"],
    *,
    table: Mapping[str, Shaped[np.ndarray, "P ..."]],
    true_table: Mapping[str, Shaped[np.ndarray, "T ..."]],
    classes: Sequence[str],
) -> MatchedParticles:
    """Match one event and compare.

    Args:
        truth: labels; `group`, and `pid` if there is one.
        kind: true class of each voxel, number in `classes`; voxels of none are in no true particle.
        energy: of each voxel.
        particle: predicted particle of each voxel, -1 none.
        table: of the predicted particles.
        true_table: from `true_particles`; may be empty.
        classes: names.
    """
    group = np.where(kind >= 0, truth["group"], -1)
    true, found = match_particles(group, particle)
    of_group = np.bincount(np.maximum(group, 0), np.where(group >= 0, energy, 0.0), int(group.max(initial=0)) + 1)
    pid = np.full(len(of_group), -1, dtype=np.int64)
    if "pid" in truth:
        pid[group[group >= 0]] = truth["pid"][group >= 0]
    start, direction, kinetic = _true_values(true, true_table, table["start"].shape[1])
    distance = np.linalg.norm(table["start"][found].astype(np.float64) - start, axis=1)
    cosine = (table["direction"][found].astype(np.float64) * direction).sum(axis=1)
    predicted = table["energy"][found].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        energy_ratio = predicted / of_group[true]
    return MatchedParticles(
        kind=table["semantic"][found].astype(np.int64),
        pid=pid[true],
        start_distance=np.where(pid[true] == _PHOTON, np.nan, distance),
        direction_deg=np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))),
        energy_ratio=energy_ratio,
        kinetic_ratio=predicted / kinetic,
        proton_score=table["proton_score"][found].astype(np.float64),
    )


def _true_values(
    true: Int64[np.ndarray, " Q"], table: Mapping[str, Shaped[np.ndarray, "T ..."]], dim: int
) -> tuple[Float64[np.ndarray, "Q D"], Float64[np.ndarray, "Q D"], Float64[np.ndarray, " Q"]]:
    """Start, direction and kinetic energy of the true particles `true`, NaN where not known."""
    group = np.asarray(table.get("group", np.empty(0, dtype=np.int64))).astype(np.int64)
    place = np.minimum(np.searchsorted(group, true), max(len(group) - 1, 0))
    known = group[place] == true if len(group) else np.zeros(len(true), dtype=np.bool_)
    result = []
    for name, shape in (("start", (dim,)), ("direction", (dim,)), ("kinetic_energy_mev", ())):
        values = np.full((len(true), *shape), np.nan)
        if known.any():
            values[known] = table[name][place[known]]
        result.append(values)
    return result[0], result[1], result[2]


def proton_metrics(matched: MatchedParticles) -> dict[str, Any]:
    """How the proton score separates matched protons from muons and pions; None where there are none of either."""
    scored = np.isfinite(matched.proton_score) & np.isin(matched.pid, (*_MIP, _PROTON))
    proton, called = matched.pid[scored] == _PROTON, matched.proton_score[scored] >= 0.5
    both = 0 < proton.sum() < len(proton)
    return {
        "n": len(proton),
        "auc": float(roc_auc_score(proton, matched.proton_score[scored])) if both else None,
        "efficiency": proportion(int((called & proton).sum()), int(proton.sum())),
        "mistag": proportion(int((called & ~proton).sum()), int((~proton).sum())),
    }

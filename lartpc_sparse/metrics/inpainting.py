"""Inpainting scores: which voxels of a gap are active, and how much charge they hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from lartpc_sparse.metrics.chamfer import chamfer_distance
from lartpc_sparse.metrics.voxel_counts import (
    THRESHOLDS,
    TolerantCounts,
    VoxelCounts,
    count_activations,
    count_tolerant,
)

__all__ = [
    "GapResult",
    "GapScore",
    "charge_scores",
    "count_voxels",
    "inpainting_scores",
    "inpainting_summary",
    "score_gap",
]


@dataclass(frozen=True)
class GapResult:
    """Truth and prediction for the K candidate voxels of one gap.

    A true voxel that was no candidate must stand here with probability 0, else it is not counted as missed.

    Attributes:
        coords: voxel index.
        active_true: the voxel is active in the truth.
        probability: predicted probability that it is active, 0..1.
        energy_true: energy in the truth, MeV (0 where not active).
        energy_predicted: energy it has if it is active, MeV.
        filled: it is predicted active; None: where the probability reaches the threshold that it is scored at.

    Raises:
        ValueError: lengths differ, a value is not finite, or a probability lies outside 0..1.
    """

    coords: Int[np.ndarray, "K D"]
    active_true: Bool[np.ndarray, " K"]
    probability: Float[np.ndarray, " K"]
    energy_true: Float[np.ndarray, " K"]
    energy_predicted: Float[np.ndarray, " K"]
    filled: Bool[np.ndarray, " K"] | None = None

    def __post_init__(self) -> None:
        columns = ("active_true", "probability", "energy_true", "energy_predicted")
        shapes = {name: getattr(self, name).shape for name in columns}
        if self.coords.ndim != 2 or set(shapes.values()) != {(len(self.coords),)}:
            raise ValueError(f"gap with coords of shape {self.coords.shape} has columns of shapes {shapes}")
        if self.active_true.dtype != np.bool_:
            raise ValueError(f"active_true must be bool, not {self.active_true.dtype}")
        for name in columns[1:]:
            bad = int((~np.isfinite(getattr(self, name))).sum())
            if bad:
                raise ValueError(f"{bad} of {len(self.coords)} values of {name} are not finite")
        if len(self.coords) and (self.probability.min() < 0 or self.probability.max() > 1):
            low, high = self.probability.min(), self.probability.max()
            raise ValueError(f"probability spans {low}..{high}, expected 0..1; apply the sigmoid first")

    def unfilled(self) -> GapResult:
        """The same gap with nothing filled in: the baseline that every method must beat."""
        return dataclasses.replace(self, probability=np.zeros(len(self.coords)), filled=None)

    def predicted(self, threshold: float) -> Bool[np.ndarray, " K"]:
        """What is predicted active."""
        return self.probability.astype(np.float64) >= threshold if self.filled is None else self.filled


@dataclass(frozen=True)
class GapScore:
    """What remains of one gap once it is scored; small, so that many gaps can be kept.

    Attributes:
        counts: at the chosen threshold, then at `THRESHOLDS`.
        charge_true: summed true energy, MeV.
        charge_predicted: summed predicted energy of the voxels predicted active, MeV.
        chamfer: distance between predicted and true active voxels, in voxels; None if a set is empty.
        tolerant: counts with a tolerance of one voxel, at the chosen threshold.
    """

    counts: VoxelCounts
    charge_true: float
    charge_predicted: float
    chamfer: float | None
    tolerant: TolerantCounts = field(default_factory=TolerantCounts)


def count_voxels(gap: GapResult, thresholds: Sequence[float]) -> VoxelCounts:
    """`count_activations` of one gap."""
    return count_activations(gap.active_true, gap.probability, thresholds)


def score_gap(gap: GapResult, threshold: float) -> GapScore:
    """Score one gap; a voxel is predicted active where it is filled, or its probability is >= threshold."""
    active = gap.predicted(threshold)
    chosen = count_activations(gap.active_true, active.astype(np.float64), (0.5,))
    return GapScore(
        counts=VoxelCounts.joined(chosen, count_voxels(gap, THRESHOLDS)),
        charge_true=float(gap.energy_true[gap.active_true].sum(dtype=np.float64)),
        charge_predicted=float(gap.energy_predicted[active].sum(dtype=np.float64)),
        chamfer=chamfer_distance(gap.coords[active], gap.coords[gap.active_true]),
        tolerant=count_tolerant(gap.coords[active], gap.coords[gap.active_true]),
    )


def inpainting_scores(gaps: Iterable[GapResult], threshold: float) -> dict[str, Any]:
    """Scores over gaps beside filling nothing; see `inpainting_summary`.

    Args:
        gaps: the gaps of all events; from a generator each is dropped once scored.
        threshold: of the probability, 0 < threshold < 1.

    Raises:
        ValueError: threshold outside (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1, not {threshold}")
    pairs = [(score_gap(gap, threshold), score_gap(gap.unfilled(), threshold)) for gap in gaps]
    return inpainting_summary(
        [score for score, _ in pairs], {"nothing": [baseline for _, baseline in pairs]}, threshold
    )


def inpainting_summary(
    scores: Sequence[GapScore],
    baselines: Mapping[str, Sequence[GapScore]],
    threshold: float | tuple[tuple[float, float], ...],
) -> dict[str, Any]:
    """Scores over gaps, ready for JSON; an undefined value is None.

    Voxel counts are summed over the gaps (micro average).

    Args:
        scores: of the gaps.
        baselines: scores of the same gaps, filled in other ways.
        threshold: that they were scored at, or pairs of gap width and threshold.

    Returns:
        `threshold`, `gaps` (their number), `precision`, `recall`, `f1`, `iou`;
        `curve`: `{"threshold", "precision", "recall", "f1", "iou"}` over `THRESHOLDS`;
        `tolerant`: precision, recall and f1 with a tolerance of one voxel;
        `charge`: `true` and `predicted` per gap in MeV, `ratio` predicted / true of the gaps with true
        charge > 0, its `median`, `half_width_68` = half of (84 % - 16 % quantile), `bias` = mean ratio - 1,
        `total_ratio` = sum predicted / sum true, and `relative_error` = sum |predicted - true| / sum true;
        `voxels`: number of active voxels per gap, `true` and `predicted`;
        `chamfer`: `mean`, `values`, and `undefined`, the number of gaps where one set is empty;
        `baselines`: `{name: {...}}`, the same scores without curve and without values of single gaps.
    """
    others = {}
    for name, filled in baselines.items():
        found = _summarise(filled)
        del found["curve"]
        others[name] = found
    return {"threshold": threshold, **_summarise(scores), "baselines": others}


def _summarise(scores: Sequence[GapScore]) -> dict[str, Any]:
    total = sum((score.counts for score in scores), VoxelCounts.none(1 + len(THRESHOLDS))).scores()
    distances = [score.chamfer for score in scores if score.chamfer is not None]
    return {
        "gaps": len(scores),
        **{name: values[0] for name, values in total.items()},
        "curve": {"threshold": list(THRESHOLDS), **{name: values[1:] for name, values in total.items()}},
        "tolerant": sum((score.tolerant for score in scores), TolerantCounts()).scores(),
        "charge": charge_scores(
            np.array([score.charge_true for score in scores]),
            np.array([score.charge_predicted for score in scores]),
        ),
        "voxels": {
            "true": [int(s.counts.true_positive[0] + s.counts.false_negative[0]) for s in scores],
            "predicted": [int(s.counts.true_positive[0] + s.counts.false_positive[0]) for s in scores],
        },
        "chamfer": {
            "mean": float(np.mean(distances)) if distances else None,
            "values": [round(distance, 4) for distance in distances],
            "undefined": len(scores) - len(distances),
        },
    }


def charge_scores(true: Float64[np.ndarray, " G"], predicted: Float64[np.ndarray, " G"]) -> dict[str, Any]:
    """The entry `charge` of `inpainting_summary`."""
    charged = true > 0
    ratio = predicted[charged] / true[charged]
    known = len(ratio) > 0
    low, middle, high = np.quantile(ratio, (0.16, 0.5, 0.84)) if known else (0.0, 0.0, 0.0)
    total = float(true.sum())
    return {
        "true": [round(float(value), 4) for value in true],
        "predicted": [round(float(value), 4) for value in predicted],
        "ratio": [round(float(value), 4) for value in ratio],
        "median": float(middle) if known else None,
        "half_width_68": float(high - low) / 2 if known else None,
        "bias": float(ratio.mean() - 1) if known else None,
        "total_ratio": float(predicted.sum()) / total if total > 0 else None,
        "relative_error": float(np.abs(predicted - true).sum()) / total if total > 0 else None,
    }

"""Inpainting scores: which voxels of a gap are active, and how much charge they hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from lartpc_sparse.metrics.chamfer import chamfer_distance

__all__ = ["GapResult", "GapScore", "VoxelCounts", "count_voxels", "inpainting_scores", "score_gap"]

THRESHOLDS: tuple[float, ...] = tuple(round(0.02 * step, 2) for step in range(1, 50))
"""Thresholds of the precision-recall curve: 0.02, 0.04, ..., 0.98."""


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

    Raises:
        ValueError: lengths differ, a value is not finite, or a probability lies outside 0..1.
    """

    coords: Int[np.ndarray, "K D"]
    active_true: Bool[np.ndarray, " K"]
    probability: Float[np.ndarray, " K"]
    energy_true: Float[np.ndarray, " K"]
    energy_predicted: Float[np.ndarray, " K"]

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
        return dataclasses.replace(self, probability=np.zeros(len(self.coords)))


@dataclass(frozen=True)
class VoxelCounts:
    """Counts of in-gap voxels at T thresholds; counts of several gaps are added with `+`."""

    true_positive: Int64[np.ndarray, " T"]
    false_positive: Int64[np.ndarray, " T"]
    false_negative: Int64[np.ndarray, " T"]

    def __add__(self, other: VoxelCounts) -> VoxelCounts:
        return VoxelCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    def scores(self) -> dict[str, list[float | None]]:
        """Precision, recall, f1 and iou at each threshold; None where the denominator is 0."""
        tp, fp, fn = self.true_positive, self.false_positive, self.false_negative
        return {
            "precision": _divide(tp, tp + fp),
            "recall": _divide(tp, tp + fn),
            "f1": _divide(2 * tp, 2 * tp + fp + fn),
            "iou": _divide(tp, tp + fp + fn),
        }


@dataclass(frozen=True)
class GapScore:
    """What remains of one gap once it is scored; small, so that many gaps can be kept.

    Attributes:
        counts: at the chosen threshold, then at `THRESHOLDS`.
        charge_true: summed true energy, MeV.
        charge_predicted: summed predicted energy of the voxels predicted active, MeV.
        chamfer: distance between predicted and true active voxels, in voxels; None if a set is empty.
    """

    counts: VoxelCounts
    charge_true: float
    charge_predicted: float
    chamfer: float | None


def count_voxels(gap: GapResult, thresholds: Sequence[float]) -> VoxelCounts:
    """Compare the voxels with probability >= threshold with the truth, at every threshold."""
    # float64 on both sides: float32(0.02) < 0.02 would drop voxels that lie on the threshold
    grid = np.asarray(thresholds, dtype=np.float64)
    probability = gap.probability.astype(np.float64)
    selected_true = _at_least(probability[gap.active_true], grid)
    selected_false = _at_least(probability[~gap.active_true], grid)
    return VoxelCounts(selected_true, selected_false, int(gap.active_true.sum()) - selected_true)


def _at_least(values: Float64[np.ndarray, " K"], grid: Float64[np.ndarray, " T"]) -> Int64[np.ndarray, " T"]:
    return (len(values) - np.searchsorted(np.sort(values), grid, side="left")).astype(np.int64)


def score_gap(gap: GapResult, threshold: float) -> GapScore:
    """Score one gap; a voxel is predicted active where its probability is >= threshold."""
    active = gap.probability.astype(np.float64) >= threshold
    return GapScore(
        counts=count_voxels(gap, (threshold, *THRESHOLDS)),
        charge_true=float(gap.energy_true[gap.active_true].sum(dtype=np.float64)),
        charge_predicted=float(gap.energy_predicted[active].sum(dtype=np.float64)),
        chamfer=chamfer_distance(gap.coords[active], gap.coords[gap.active_true]),
    )


def inpainting_scores(gaps: Iterable[GapResult], threshold: float) -> dict[str, Any]:
    """Scores over gaps, ready for JSON; an undefined value is None.

    Voxel counts are summed over the gaps (micro average). Gaps may come from a generator: each is dropped
    once scored.

    Args:
        gaps: the gaps of all events.
        threshold: of the probability, 0 < threshold < 1.

    Returns:
        `threshold`, `gaps` (their number), `precision`, `recall`, `f1`, `iou`;
        `curve`: `{"threshold", "precision", "recall", "f1", "iou"}` over `THRESHOLDS`;
        `charge`: `true` and `predicted` per gap in MeV, `ratio` predicted / true of the gaps with true
        charge > 0, its `median`, `half_width_68` = half of (84 % - 16 % quantile), `bias` = mean ratio - 1,
        and `relative_error` = sum |predicted - true| / sum true over all gaps;
        `voxels`: number of active voxels per gap, `true` and `predicted`;
        `chamfer`: `mean`, `values`, and `undefined`, the number of gaps where one set is empty;
        `baselines`: `{"nothing": {...}}`, the same scores (no curve) when nothing is filled in.

    Raises:
        ValueError: threshold outside (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1, not {threshold}")
    pairs = [(score_gap(gap, threshold), score_gap(gap.unfilled(), threshold)) for gap in gaps]
    nothing = _summarise([baseline for _, baseline in pairs])
    del nothing["curve"]
    return {
        "threshold": threshold,
        **_summarise([score for score, _ in pairs]),
        "baselines": {"nothing": nothing},
    }


def _summarise(scores: Sequence[GapScore]) -> dict[str, Any]:
    zeros = np.zeros(1 + len(THRESHOLDS), dtype=np.int64)
    total = sum((score.counts for score in scores), VoxelCounts(zeros, zeros, zeros)).scores()
    distances = [score.chamfer for score in scores if score.chamfer is not None]
    return {
        "gaps": len(scores),
        **{name: values[0] for name, values in total.items()},
        "curve": {"threshold": list(THRESHOLDS), **{name: values[1:] for name, values in total.items()}},
        "charge": _charge(
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


def _charge(true: Float64[np.ndarray, " G"], predicted: Float64[np.ndarray, " G"]) -> dict[str, Any]:
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
        "relative_error": float(np.abs(predicted - true).sum()) / total if total > 0 else None,
    }


def _divide(part: Int64[np.ndarray, " T"], whole: Int64[np.ndarray, " T"]) -> list[float | None]:
    return [float(p / w) if w else None for p, w in zip(part, whole, strict=True)]

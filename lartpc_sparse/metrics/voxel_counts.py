"""How many voxels of gaps are found, missed and made up: at thresholds, and with a tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy.spatial import cKDTree

__all__ = ["THRESHOLDS", "TolerantCounts", "VoxelCounts", "count_activations", "count_tolerant", "detection_scores"]

THRESHOLDS: tuple[float, ...] = tuple(round(0.02 * step, 2) for step in range(1, 50))
"""Thresholds of the precision-recall curve: 0.02, 0.04, ..., 0.98."""


def detection_scores(found: int, false: int, missed: int) -> dict[str, float | None]:
    """Precision, recall, f1 and iou of so many voxels found, made up and missed; None where undefined."""

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return {
        "precision": share(found, found + false),
        "recall": share(found, found + missed),
        "f1": share(2 * found, 2 * found + false + missed),
        "iou": share(found, found + false + missed),
    }


@dataclass(frozen=True)
class VoxelCounts:
    """Counts of in-gap voxels at T thresholds; counts of several gaps are added with `+`."""

    true_positive: Int64[np.ndarray, " T"]
    false_positive: Int64[np.ndarray, " T"]
    false_negative: Int64[np.ndarray, " T"]

    @classmethod
    def none(cls, thresholds: int) -> VoxelCounts:
        """No voxels counted yet."""
        zeros = np.zeros(thresholds, dtype=np.int64)
        return cls(zeros, zeros, zeros)

    @classmethod
    def joined(cls, *parts: VoxelCounts) -> VoxelCounts:
        """Counts of the same voxels at the thresholds of all parts, one after the other."""
        names = ("true_positive", "false_positive", "false_negative")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __add__(self, other: VoxelCounts) -> VoxelCounts:
        return VoxelCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    def scores(self) -> dict[str, list[float | None]]:
        """Precision, recall, f1 and iou at each threshold; None where the denominator is 0."""
        counts = (self.true_positive.tolist(), self.false_positive.tolist(), self.false_negative.tolist())
        each = [detection_scores(*one) for one in zip(*counts, strict=True)]
        return {name: [scores[name] for scores in each] for name in detection_scores(0, 0, 0)}


@dataclass(frozen=True)
class TolerantCounts:
    """Counts where a voxel is right if one of the other set is at most one step away, by face, edge or corner.

    Attributes:
        predicted: voxels predicted.
        true: voxels that are truly active.
        predicted_near: predicted ones with a true one near.
        true_near: true ones with a predicted one near.
    """

    predicted: int = 0
    true: int = 0
    predicted_near: int = 0
    true_near: int = 0

    def __add__(self, other: TolerantCounts) -> TolerantCounts:
        return TolerantCounts(
            self.predicted + other.predicted,
            self.true + other.true,
            self.predicted_near + other.predicted_near,
            self.true_near + other.true_near,
        )

    def scores(self) -> dict[str, float | None]:
        """Precision, recall and their harmonic mean f1; None where nothing is predicted or true."""
        precision = self.predicted_near / self.predicted if self.predicted else None
        recall = self.true_near / self.true if self.true else None
        both = precision is not None and recall is not None
        f1 = None if recall is None else 0.0
        if both and precision and recall:
            f1 = 2 * precision * recall / (precision + recall)
        return {"precision": precision, "recall": recall, "f1": f1}


def count_tolerant(predicted: Int[np.ndarray, "P D"], true: Int[np.ndarray, "T D"]) -> TolerantCounts:
    """Compare two sets of voxels with a tolerance of one voxel (Chebyshev distance)."""
    if not len(predicted) or not len(true):
        return TolerantCounts(len(predicted), len(true))
    near = [
        int(np.isfinite(cKDTree(other).query(own, p=np.inf, distance_upper_bound=1.5)[0]).sum())
        for own, other in ((predicted, true), (true, predicted))
    ]
    return TolerantCounts(len(predicted), len(true), near[0], near[1])


def count_activations(
    active: Bool[np.ndarray, " K"], probability: Float[np.ndarray, " K"], thresholds: Sequence[float]
) -> VoxelCounts:
    """Compare the voxels with probability >= threshold with the truth, at every threshold."""
    # float64 on both sides: float32(0.02) < 0.02 would drop voxels that lie on the threshold
    grid = np.asarray(thresholds, dtype=np.float64)
    likely = probability.astype(np.float64)
    selected_true = _at_least(likely[active], grid)
    selected_false = _at_least(likely[~active], grid)
    return VoxelCounts(selected_true, selected_false, int(active.sum()) - selected_true)


def _at_least(values: Float64[np.ndarray, " K"], grid: Float64[np.ndarray, " T"]) -> Int64[np.ndarray, " T"]:
    return (len(values) - np.searchsorted(np.sort(values), grid, side="left")).astype(np.int64)

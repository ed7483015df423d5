"""The activation threshold from which a candidate is filled: one for all gaps, or one that goes with the width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
from jaxtyping import Float64
from pydantic import AfterValidator, Field, PositiveFloat

from lartpc_sparse.heads.by_gap_width import ByGapWidth, widths_rise
from lartpc_sparse.metrics.voxel_counts import THRESHOLDS, VoxelCounts

__all__ = ["FillThreshold", "fitted_threshold"]

LEAST_TRUE_VOXELS = 5000
"""True voxels that a threshold of its own needs; with fewer, chance moves the highest F1 too far."""
MOST_PAIRS = 3
HARDLY_LOWER = 0.998
"""F1 is flat around its highest value, more so with `crossing_share`. Of the thresholds at which it is this share of
that, the highest makes up fewest voxels."""

Probability = Annotated[float, Field(gt=0, lt=1)]
FillThreshold = Annotated[
    Probability | tuple[tuple[PositiveFloat, Probability], ...],
    AfterValidator(widths_rise),
]
"""A probability, or pairs of gap width and probability (`ByGapWidth`)."""


def fitted_threshold(counts: Mapping[float, VoxelCounts]) -> ByGapWidth | None:
    """The threshold with the highest F1 over all true voxels of the gaps.

    With gaps of several widths and voxels enough: pairs of width and threshold, each for the gaps of a range of
    widths. Wider gaps know less, and the F1 of a set is highest at half of it (arXiv:1402.1892).

    Args:
        counts: width of the gaps, voxels: what is found at `THRESHOLDS` in all gaps of that width.

    Returns:
        None where the gaps hold no true voxel.
    """
    widths = np.array(sorted(counts), dtype=np.float64)
    true = np.array([_true_voxels(counts[width]) for width in widths], dtype=np.int64)
    if not true.sum():
        return None
    for pairs in range(MOST_PAIRS, 1, -1):
        # ranges of widths that hold as many true voxels each as whole widths allow
        part = ((np.cumsum(true) - true / 2) * pairs / true.sum()).astype(np.int64)
        rows = [np.flatnonzero(part == number) for number in range(pairs)]
        if all(true[own].sum() >= LEAST_TRUE_VOXELS for own in rows):
            middles = [round(float(np.average(widths[own], weights=true[own])), 1) for own in rows]
            best = [_highest_good(_f1(counts[width] for width in widths[own])) for own in rows]
            return tuple(zip(middles, best, strict=True))
    return THRESHOLDS[int(_f1(counts.values()).argmax())]


def _true_voxels(counts: VoxelCounts) -> int:
    return int((counts.true_positive + counts.false_negative).max())


def _f1(counts: Iterable[VoxelCounts]) -> Float64[np.ndarray, " T"]:
    total = sum(counts, VoxelCounts.none(len(THRESHOLDS)))
    return np.array([value or 0.0 for value in total.scores()["f1"]])


def _highest_good(f1: Float64[np.ndarray, " T"]) -> float:
    """The highest threshold whose F1 is hardly lower than the best."""
    return THRESHOLDS[int(np.flatnonzero(f1 >= HARDLY_LOWER * f1.max())[-1])]

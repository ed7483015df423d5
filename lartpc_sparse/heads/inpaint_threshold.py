"""The activation threshold from which a candidate is filled: one for all gaps, or one that goes with the width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64
from pydantic import AfterValidator, Field, PositiveFloat

from lartpc_sparse.heads.by_gap_width import ByGapWidth, width_ranges, widths_rise
from lartpc_sparse.metrics.voxel_counts import THRESHOLDS, VoxelCounts

__all__ = ["FillThreshold", "fitted_threshold", "threshold_trials"]

LEAST_TRUE = 5000
"""True voxels that a threshold of its own needs; with fewer, chance moves the highest F1 too far."""
MOST_RANGES = 3
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

    With gaps of several widths and voxels enough: pairs of width and threshold, each for a range of widths. Less is
    known of wider gaps, and the F1 of a set is highest at a threshold of half of it (arXiv:1402.1892).

    Args:
        counts: width of the gaps, voxels: what is found at `THRESHOLDS` in all gaps of that width.

    Returns:
        None where the gaps hold no true voxel.
    """
    if not any(_true_voxels(own) for own in counts.values()):
        return None
    ranges = _ranges(counts)
    if len(ranges) > 1:
        return tuple((middle, _highest_good(f1)) for middle, f1 in ranges)
    return THRESHOLDS[int(_f1(counts.values()).argmax())]


def threshold_trials(counts: Mapping[float, VoxelCounts]) -> list[dict[str, Any]]:
    """F1 at every threshold, over all gaps and, with `width`, over each range that has a threshold of its own."""
    ranges = _ranges(counts)
    every = [({"width": middle}, f1) for middle, f1 in ranges] if len(ranges) > 1 else []
    return [
        {**named, "threshold": threshold, "f1": value}
        for named, f1 in [({}, _f1(counts.values())), *every]
        for threshold, value in zip(THRESHOLDS, f1.tolist(), strict=True)
    ]


def _ranges(counts: Mapping[float, VoxelCounts]) -> list[tuple[float, Float64[np.ndarray, " T"]]]:
    """Middle and F1 at every threshold of ranges of widths, but of those at which nothing is ever found."""
    true = {width: _true_voxels(own) for width, own in counts.items()}
    found = [(middle, _f1(counts[each] for each in own)) for middle, own in width_ranges(true, MOST_RANGES, LEAST_TRUE)]
    return [(middle, f1) for middle, f1 in found if f1.max() > 0]


def _true_voxels(counts: VoxelCounts) -> int:
    return int((counts.true_positive + counts.false_negative).max())


def _f1(counts: Iterable[VoxelCounts]) -> Float64[np.ndarray, " T"]:
    total = sum(counts, VoxelCounts.none(len(THRESHOLDS)))
    return np.array([value or 0.0 for value in total.scores()["f1"]])


def _highest_good(f1: Float64[np.ndarray, " T"]) -> float:
    """The highest threshold whose F1 is hardly lower than the best."""
    return THRESHOLDS[int(np.flatnonzero(f1 >= HARDLY_LOWER * f1.max())[-1])]

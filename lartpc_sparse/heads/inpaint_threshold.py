"""The activation threshold from which a candidate is filled: one for all gaps, or one that goes with the width."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
from jaxtyping import Float64
from pydantic import AfterValidator, Field, PositiveFloat

from lartpc_sparse.heads.by_gap_width import ByGapWidth, width_ranges, widths_rise
from lartpc_sparse.metrics.voxel_counts import THRESHOLDS, VoxelCounts

__all__ = ["FillThreshold", "fitted_threshold"]

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
    true = {width: _true_voxels(own) for width, own in counts.items()}
    if not sum(true.values()):
        return None
    ranges = [
        (middle, _f1(counts[each] for each in own)) for middle, own in width_ranges(true, MOST_RANGES, LEAST_TRUE)
    ]
    if len(ranges) > 1 and all(f1.max() > 0 for _, f1 in ranges):
        return tuple((middle, _highest_good(f1)) for middle, f1 in ranges)
    return THRESHOLDS[int(_f1(counts.values()).argmax())]


def _true_voxels(counts: VoxelCounts) -> int:
    return int((counts.true_positive + counts.false_negative).max())


def _f1(counts: Iterable[VoxelCounts]) -> Float64[np.ndarray, " T"]:
    total = sum(counts, VoxelCounts.none(len(THRESHOLDS)))
    return np.array([value or 0.0 for value in total.scores()["f1"]])


def _highest_good(f1: Float64[np.ndarray, " T"]) -> float:
    """The highest threshold whose F1 is hardly lower than the best."""
    return THRESHOLDS[int(np.flatnonzero(f1 >= HARDLY_LOWER * f1.max())[-1])]

"""A setting that is one value for all gaps, or goes with the width of the gap."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int, Int64

__all__ = ["ByGapWidth", "gap_widths", "value_at_width", "width_around", "width_ranges", "widths_rise"]

ByGapWidth = float | tuple[tuple[float, float], ...]
"""A value, or pairs of gap width (voxels) and value: linear between two pairs, constant beyond the outermost."""


def widths_rise(setting: ByGapWidth) -> ByGapWidth:
    """The setting itself.

    Raises:
        ValueError: pairs whose widths do not rise, or none.
    """
    if isinstance(setting, tuple):
        widths = [width for width, _ in setting]
        if not widths or any(one >= other for one, other in itertools.pairwise(widths)):
            raise ValueError(f"pairs of width and value need widths that rise, got {widths}")
    return setting


def gap_widths(boxes: Int64[np.ndarray, "R 2 D"]) -> Float64[np.ndarray, " R"]:
    """Width of each gap, along the axis where it is narrowest, voxels."""
    return np.asarray((boxes[:, 1] - boxes[:, 0]).min(axis=1), dtype=np.float64)


def width_around(boxes: Int64[np.ndarray, "R 2 D"] | None, gap: Int[np.ndarray, " K"]) -> Float64[np.ndarray, " K"]:
    """Width of the gap of each of K voxels; 0 where the gaps are not known."""
    return np.zeros(len(gap)) if boxes is None or not len(gap) else gap_widths(boxes)[gap]


def value_at_width(setting: ByGapWidth, widths: Float64[np.ndarray, " R"]) -> Float64[np.ndarray, " R"]:
    """The value for gaps of these widths."""
    if not isinstance(setting, tuple):
        return np.full(len(widths), setting, dtype=np.float64)
    known, values = np.array(setting, dtype=np.float64).T
    return np.asarray(np.interp(widths, known, values))


def width_ranges(amounts: Mapping[float, float], most: int, least: float) -> list[tuple[float, list[float]]]:
    """Ranges of widths that hold about as much each, to choose a value in each.

    Args:
        amounts: width of gaps, voxels: how much is known of them.
        most: ranges.
        least: amount in every range.

    Returns:
        Mean width and widths of each range, both rising; one range where two would hold too little, or where a width
        is not known (0).
    """
    widths = np.array(sorted(amounts), dtype=np.float64)
    amount = np.array([amounts[width] for width in widths.tolist()], dtype=np.float64)
    total = float(amount.sum())
    if 1 < len(widths) <= most and widths[0] > 0 and amount.min() >= least:
        return [(round(width, 1), [width]) for width in widths.tolist()]
    for number in range(most if total > 0 and widths[0] > 0 else 0, 1, -1):
        # the middle of a width's share says where it belongs
        part = np.minimum((np.cumsum(amount) - amount / 2) * number // total, number - 1)
        rows = [own for each in range(number) if len(own := np.flatnonzero(part == each))]
        if len(rows) > 1 and all(amount[own].sum() >= least for own in rows):
            middles = [round(float(np.average(widths[own], weights=amount[own])), 1) for own in rows]
            return [(middle, widths[own].tolist()) for middle, own in zip(middles, rows, strict=True)]
    return [(float(np.average(widths, weights=amount)) if total > 0 else 0.0, widths.tolist())] if len(widths) else []

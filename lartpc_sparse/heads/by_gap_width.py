"""A setting that is one value for all gaps, or goes with the width of the gap."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float64, Int, Int64

__all__ = ["ByGapWidth", "gap_widths", "value_at_width", "width_around", "widths_rise"]

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

"""A factor on the predicted charge: one for all gaps, or one that goes with the width of the gap."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import AfterValidator, PositiveFloat
from sklearn.linear_model import QuantileRegressor

__all__ = ["ChargeFactor", "charge_factors", "fitted_factor", "gap_widths"]

LEAST_TRACKS = 20
"""Fewer tracks through gaps tell no factor."""
LEAST_TRACKS_FOR_WIDTHS = 400
"""Fewer tell no dependence on the width: with charge good to .13 the ends of the line are then off by .015."""


def _ordered(factor: float | tuple[tuple[float, float], ...]) -> float | tuple[tuple[float, float], ...]:
    if isinstance(factor, tuple):
        widths = [width for width, _ in factor]
        if not widths or any(one >= other for one, other in itertools.pairwise(widths)):
            raise ValueError(f"pairs of width and factor need widths that rise, got {widths}")
    return factor


ChargeFactor = Annotated[
    PositiveFloat | tuple[tuple[PositiveFloat, PositiveFloat], ...],
    AfterValidator(_ordered),
]
"""A factor, or pairs of gap width (voxels) and factor: linear between two pairs, constant beyond the outermost."""


def gap_widths(boxes: Int64[np.ndarray, "R 2 D"]) -> Float64[np.ndarray, " R"]:
    """Width of each gap, along the axis where it is narrowest, voxels."""
    return np.asarray((boxes[:, 1] - boxes[:, 0]).min(axis=1), dtype=np.float64)


def charge_factors(factor: ChargeFactor, widths: Float64[np.ndarray, " R"]) -> Float64[np.ndarray, " R"]:
    """The factor of gaps of these widths."""
    if not isinstance(factor, tuple):
        return np.full(len(widths), factor, dtype=np.float64)
    known, values = np.array(factor, dtype=np.float64).T
    return np.asarray(np.interp(widths, known, values))


def fitted_factor(widths: Sequence[float], ratios: Sequence[float]) -> ChargeFactor | None:
    """The factor with which the median of predicted / true charge of tracks through gaps is 1.

    With tracks enough and gaps of several widths: median regression of the ratio on the width, a straight line over
    the widths that were seen.

    Args:
        widths: of the gap of each track, voxels.
        ratios: predicted / true charge.

    Returns:
        The factor; None with fewer than `LEAST_TRACKS` tracks, or where most of them got no charge.
    """
    if len(ratios) < LEAST_TRACKS or np.median(ratios) <= 0:
        return None
    first, last = min(widths), max(widths)
    if len(ratios) >= LEAST_TRACKS_FOR_WIDTHS and first < last:
        line = QuantileRegressor(quantile=0.5, alpha=0.0).fit(np.reshape(widths, (-1, 1)), ratios)
        ends = line.predict([[first], [last]])
        if ends.min() > 0:
            return (first, float(1.0 / ends[0])), (last, float(1.0 / ends[1]))
    return float(1.0 / np.median(ratios))

"""A factor on the predicted charge: one for all gaps, or one that goes with the width of the gap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, PositiveFloat
from sklearn.linear_model import QuantileRegressor

from lartpc_sparse.heads.by_gap_width import widths_rise

__all__ = ["ChargeFactor", "fitted_factor"]

LEAST_TRACKS = 20
"""Fewer tracks through gaps tell no factor."""
LEAST_TRACKS_FOR_WIDTHS = 400
"""Fewer tell no dependence on the width: with charge good to .13 the ends of the line are then off by .015."""


ChargeFactor = Annotated[
    PositiveFloat | tuple[tuple[PositiveFloat, PositiveFloat], ...],
    AfterValidator(widths_rise),
]
"""A factor, or pairs of gap width and factor (`ByGapWidth`)."""


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

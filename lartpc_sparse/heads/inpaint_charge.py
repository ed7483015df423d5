"""A factor on the predicted charge: one for all gaps, or one that goes with the width of the gap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, PositiveFloat

from lartpc_sparse.heads.by_gap_width import width_ranges, widths_rise

__all__ = ["ChargeFactor", "fitted_factor"]

LEAST_TRACKS = 20
"""Fewer tracks through gaps tell no factor."""
LEAST_IN_RANGE = 130
"""Tracks that a factor of its own needs: with charge good to .13 their median is good to .014."""
MOST_RANGES = 5

ChargeFactor = Annotated[
    PositiveFloat | tuple[tuple[PositiveFloat, PositiveFloat], ...],
    AfterValidator(widths_rise),
]
"""A factor, or pairs of gap width and factor (`ByGapWidth`)."""


def fitted_factor(widths: Sequence[float], ratios: Sequence[float]) -> ChargeFactor | None:
    """The factor with which the median of predicted / true charge of tracks through gaps is 1.

    With gaps of several widths and tracks enough: pairs of width and factor, each for a range of widths.

    Args:
        widths: of the gap of each track, voxels.
        ratios: predicted / true charge.

    Returns:
        The factor; None with fewer than `LEAST_TRACKS` tracks, or where most of them got no charge.
    """
    if len(ratios) < LEAST_TRACKS or np.median(ratios) <= 0:
        return None
    width, ratio = np.asarray(widths, dtype=np.float64), np.asarray(ratios, dtype=np.float64)
    ranges = width_ranges(Counter(width.tolist()), MOST_RANGES, LEAST_IN_RANGE)
    medians = [(middle, float(np.median(ratio[np.isin(width, own)]))) for middle, own in ranges]
    if len(medians) > 1 and all(median > 0 for _, median in medians):
        return tuple((middle, 1.0 / median) for middle, median in medians)
    return float(1.0 / np.median(ratio))

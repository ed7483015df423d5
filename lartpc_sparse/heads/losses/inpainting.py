"""Loss of the inpainting head (LArDRIP).

The seed form sums squared errors over voxels that are truly non-zero and over those that are zero, divides both by
the number of ALL candidates, and weighs them with softmax(log w), w learnable. Two defects follow: both terms have
one denominator, so the rare active voxels hardly count; and descent on w moves weight to the easier term. The
`balanced` form divides each sum by its own number of voxels and keeps the weights fixed.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["RegressionForm", "track_nontrack_terms"]

RegressionForm = Literal["balanced", "literal"]


def track_nontrack_terms(
    predicted: Float[Tensor, " K"], target: Float[Tensor, " K"], active: Bool[Tensor, " K"], form: RegressionForm
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean squared error over the active and over the inactive candidates.

    Args:
        predicted: predicted energy, any unit.
        target: true energy in the same unit, 0 where inactive.
        active: candidates that are truly active.
        form: `balanced` divides by the voxels of each kind, `literal` by all candidates.

    Returns:
        (track term, nontrack term); a kind without voxels gives 0.
    """
    squared = (predicted - target).square()
    everything = len(target) if form == "literal" else None
    terms = []
    for chosen in (active, ~active):
        number = everything if everything is not None else int(chosen.sum())
        terms.append(torch.where(chosen, squared, torch.zeros_like(squared)).sum() / max(number, 1))
    return terms[0], terms[1]

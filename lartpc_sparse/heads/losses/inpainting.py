"""Losses of the inpainting head (LArDRIP).

The seed form sums squared errors over voxels that are truly non-zero and over those that are zero, divides both by
the number of ALL candidates, and weighs them with softmax(log w), w learnable. Two defects follow: both terms have
one denominator, so the rare active voxels hardly count; and descent on w moves weight to the easier term. The
`balanced` form divides each sum by its own number of voxels. See docs/inpainting.md for what to do about the weights.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

__all__ = ["RegressionForm", "activation_loss", "charge_loss", "track_nontrack_terms"]

RegressionForm = Literal["balanced", "literal", "active_only"]


def track_nontrack_terms(
    predicted: Float[Tensor, " K"], target: Float[Tensor, " K"], active: Bool[Tensor, " K"], form: RegressionForm
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean squared error over the active and over the inactive candidates.

    Args:
        predicted: predicted energy, any unit.
        target: true energy in the same unit, 0 where inactive.
        active: candidates that are truly active.
        form: `balanced` divides by the voxels of each kind, `literal` by all candidates; `active_only` has no second
            term: what an inactive candidate would hold if it were active is nobody's business.

    Returns:
        (track term, nontrack term); a kind without voxels gives 0.
    """
    squared = (predicted - target).square()
    everything = len(target) if form == "literal" else None
    terms = []
    for chosen in (active, ~active):
        number = everything if everything is not None else int(chosen.sum())
        terms.append(torch.where(chosen, squared, torch.zeros_like(squared)).sum() / max(number, 1))
    return terms[0], (terms[1] * 0.0 if form == "active_only" else terms[1])


def activation_loss(
    logit: Float[Tensor, " K"], active: Bool[Tensor, " K"], positive_weight: float, gamma: float
) -> Float[Tensor, ""]:
    """Mean over the candidates of the cross-entropy, or of the focal loss (arXiv:1708.02002, eq. 5).

    (1 - p_t)^gamma times the cross-entropy, p_t the probability of what is true; gamma 0 is the cross-entropy.

    Args:
        logit: of the activation probability.
        active: candidates that are truly active.
        positive_weight: factor on the active ones.
        gamma: focus on what is wrong.
    """
    each = F.binary_cross_entropy_with_logits(
        logit, active.to(logit.dtype), reduction="none", pos_weight=logit.new_tensor(positive_weight)
    )
    if gamma > 0:
        right = torch.sigmoid(torch.where(active, logit, -logit))
        each = each * (1 - right) ** gamma
    return each.sum() / max(len(each), 1)


def charge_loss(
    probability: Float[Tensor, " K"],
    energy: Float[Tensor, " K"],
    target: Float[Tensor, " K"],
    gap: Int64[Tensor, " K"],
) -> Float[Tensor, ""]:
    """Mean over gaps of (Q - Q_true)^2 / (Q + q), with Q = sum of probability x energy over the gap.

    The denominator, without gradient, makes a gap count by its relative precision, as for a Poisson count; it holds the
    predicted sum because a true one would pull the estimate towards the harmonic mean. q = 1 keeps empty gaps finite.

    Args:
        probability: that a candidate is active.
        energy: that it holds if it is, MeV.
        target: true energy, MeV, 0 where inactive.
        gap: number of the gap of each candidate, any whole numbers.
    """
    numbers, index = torch.unique(gap, return_inverse=True)
    empty = energy.new_zeros(len(numbers))
    found = empty.index_add(0, index, probability * energy)
    true = empty.index_add(0, index, target.to(energy.dtype))
    return ((found - true).square() / (found.detach() + 1.0)).sum() / max(len(numbers), 1)

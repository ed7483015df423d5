"""Losses of voxel classification as pure functions of logits, truth and weights.

All of them leave voxels without a label (truth -1) out, and give a zero that is attached to the graph where no voxel
is labelled.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["cross_entropy", "dice", "focal", "lovasz_softmax"]

_TINY = 1e-12


def cross_entropy(
    logits: Float[Tensor, "N K"],
    truth: Int64[Tensor, " N"],
    weight: Float[Tensor, " N"],
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Weighted mean of -log p(true class).

    Args:
        logits: scores before the softmax.
        truth: class of each voxel, -1 not labelled.
        weight: of each voxel; their scale does not matter.
        label_smoothing: share of the target that is spread evenly over the classes (arXiv:1512.00567).
    """
    each = F.cross_entropy(logits, truth.clamp(min=0), reduction="none", label_smoothing=label_smoothing)
    return _weighted_mean(each, truth, weight)


def focal(
    logits: Float[Tensor, "N K"],
    truth: Int64[Tensor, " N"],
    weight: Float[Tensor, " N"],
    *,
    alpha: Float[Tensor, " K"],
    gamma: float,
) -> Float[Tensor, ""]:
    """Focal loss of Lin et al. (arXiv:1708.02002, equation 5), a weighted mean of -alpha_t (1 - p_t)^gamma log p_t.

    p_t is the probability of the true class t, alpha_t its factor. The factors are not normalised: alpha = 4 on one
    class multiplies its share of the loss by 4. gamma = 0 and alpha = 1 is the cross-entropy.

    Args:
        logits: as for `cross_entropy`.
        truth: as for `cross_entropy`.
        weight: as for `cross_entropy`.
        alpha: factor of each class.
        gamma: how much well classified voxels are left out.
    """
    target = truth.clamp(min=0)
    log_p = F.log_softmax(logits, dim=1).gather(1, target[:, None]).squeeze(1)
    # The power of 1 - p has no finite slope at p = 1 when gamma < 1.
    miss = (1.0 - log_p.exp()).clamp(min=_TINY)
    each = -alpha.to(logits)[target] * miss**gamma * log_p
    return _weighted_mean(each, truth, weight)


def lovasz_softmax(logits: Float[Tensor, "N K"], truth: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
    """Lovasz-softmax of Berman et al. (arXiv:1705.08790, equation 12): surrogate of 1 - mean IoU.

    The mean runs over the classes that the labelled voxels have.
    """
    labelled = truth >= 0
    probability = F.softmax(logits[labelled], dim=1)
    target = F.one_hot(truth[labelled], logits.shape[1]).to(probability.dtype)
    positives = target.sum(0)
    if not len(target):
        return logits.sum() * 0.0
    errors, order = (target - probability).abs().sort(dim=0, descending=True)
    sorted_target = target.gather(0, order)
    # Running counts in float64: a cumulative float32 sum over a large batch is not exact.
    hits = sorted_target.cumsum(0, dtype=torch.float64)
    misses = (1.0 - sorted_target).cumsum(0, dtype=torch.float64)
    jaccard = 1.0 - (positives - hits) / (positives + misses).clamp(min=1.0)
    steps = jaccard.diff(dim=0, prepend=jaccard.new_zeros(1, jaccard.shape[1])).to(errors.dtype)
    each = (errors * steps).sum(0)
    present = positives > 0
    return each[present].mean()


def dice(logits: Float[Tensor, "N K"], truth: Int64[Tensor, " N"], weight: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """1 - mean soft Dice coefficient of the classes present (Milletari et al., arXiv:1606.04797, squared form).

    Of a class: 2 sum w p t / (sum w p^2 + sum w t), t the truth as 0 or 1.
    """
    weight = (weight * (truth >= 0)).to(logits.dtype)[:, None]
    probability = F.softmax(logits, dim=1)
    target = F.one_hot(truth.clamp(min=0), logits.shape[1]).to(probability.dtype)
    overlap = (weight * probability * target).sum(0)
    total = (weight * (probability.square() + target)).sum(0)
    present = (weight * target).sum(0) > 0
    if not present.any():
        return logits.sum() * 0.0
    return 1.0 - (2.0 * overlap / total.clamp(min=_TINY))[present].mean()


def _weighted_mean(
    each: Float[Tensor, " N"], truth: Int64[Tensor, " N"], weight: Float[Tensor, " N"]
) -> Float[Tensor, ""]:
    weight = weight * (truth >= 0)
    return (weight * each).sum() / weight.sum().clamp(min=_TINY)

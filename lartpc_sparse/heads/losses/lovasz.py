"""Lovasz hinge for many binary masks at once.

Berman et al., "The Lovasz-Softmax loss", arXiv:1705.08790: a convex surrogate of the Jaccard index.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

__all__ = ["lovasz_hinge", "segment_sum"]


def segment_sum(values: Float[Tensor, "P ..."], segment: Int64[Tensor, " P"], count: int) -> Float[Tensor, "count ..."]:
    """Sum of the values of each segment."""
    return values.new_zeros((count, *values.shape[1:])).index_add(0, segment, values)


def lovasz_hinge(
    scores: Float[Tensor, " P"], member: Bool[Tensor, " P"], mask: Int64[Tensor, " P"], count: int
) -> Float[Tensor, " count"]:
    """Lovasz hinge of each mask.

    Args:
        scores: signed score of a pair (voxel, mask), positive for "belongs to it".
        member: the truth of each pair.
        mask: number of the mask of each pair, 0 .. count-1.
        count: number of masks.

    Returns:
        One loss a mask; 0 for a mask without pairs.
    """
    truth = member.to(scores.dtype)
    errors = 1.0 - scores * (2.0 * truth - 1.0)
    # Order by mask, and inside a mask by falling error.
    order = torch.argsort(errors.detach(), descending=True, stable=True)
    order = order[torch.argsort(mask[order], stable=True)]
    mask, truth, errors = mask[order], truth[order], errors[order]

    starts = torch.searchsorted(mask, torch.arange(count, device=mask.device))
    positives = segment_sum(truth, mask, count)[mask]
    rank = torch.arange(len(mask), device=mask.device) - starts[mask]
    # Running counts in float64: a cumulative float32 sum over a large batch is not exact.
    running = truth.double().cumsum(0)
    before = torch.cat([running.new_zeros(1), running])[starts][mask]
    hits = (running - before).to(scores.dtype)
    misses = (rank + 1).to(scores.dtype) - hits
    jaccard = 1.0 - (positives - hits) / (positives + misses)
    previous = torch.where(rank == 0, torch.zeros_like(jaccard), jaccard.roll(1))
    return segment_sum(errors.clamp(min=0) * (jaccard - previous), mask, count)

"""Batch normalisation with the statistics of the voxels of all ranks.

torch's SyncBatchNorm refuses tensors on a CPU. Source: Ioffe and Szegedy, arXiv:1502.03167; variances are joined as
in Chan, Golub and LeVeque, The American Statistician 37 (1983) 242, equation 2.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

__all__ = ["Statistics", "batch_norm_across_ranks", "join_statistics"]


class Statistics(NamedTuple):
    """Of the voxels of all ranks.

    Attributes:
        number: of voxels.
        mean, variance: of each channel, the variance biased; without gradient.
    """

    number: int
    mean: Float[Tensor, " C"]
    variance: Float[Tensor, " C"]


@torch.no_grad()
def join_statistics(feats: Float[Tensor, "N C"]) -> Statistics:
    """Statistics over the rows of all ranks, of which some may have none; in float32 or better."""
    wide = feats.detach().to(torch.promote_types(feats.dtype, torch.float32))
    own = wide.new_zeros(3, feats.shape[1])
    if len(feats):
        own[0] = len(feats)
        own[1] = wide.mean(0)
        own[2] = (wide - own[1]).square().sum(0)
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    parts = torch.stack(every)
    counts = parts[:, 0]
    total = counts.sum(0)
    mean = (counts * parts[:, 1]).sum(0) / total.clamp(min=1)
    squares = parts[:, 2].sum(0) + (counts * (parts[:, 1] - mean).square()).sum(0)
    return Statistics(int(total[0]) if len(total) else 0, mean, squares / total.clamp(min=1))


def batch_norm_across_ranks(
    feats: Float[Tensor, "N C"],
    weight: Float[Tensor, " C"],
    bias: Float[Tensor, " C"],
    eps: float,
    statistics: Statistics,
) -> Float[Tensor, "N C"]:
    """Weight * (feats - mean) / sqrt(variance + eps) + bias; differentiable in feats, weight and bias.

    All ranks must call it, and go back through it, in the same order.
    """
    result: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
        feats, weight, bias, statistics.mean, statistics.variance, statistics.number, eps
    )
    return result


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917  torch passes them by position
        ctx: Any,
        feats: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: int,
        eps: float,
    ) -> Tensor:
        inverse = (variance + eps).rsqrt()
        normalised = (feats - mean) * inverse
        ctx.save_for_backward(normalised, weight, inverse)
        ctx.count = count
        return (normalised * weight + bias).to(feats.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        normalised, weight, inverse = ctx.saved_tensors
        grad = grad.to(normalised.dtype)
        own = torch.stack([grad.sum(0), (grad * normalised).sum(0)])
        total = own.clone()
        dist.all_reduce(total)
        total /= max(ctx.count, 1)
        change = grad - total[0] - normalised * total[1]
        return weight * inverse * change, own[1].to(weight.dtype), own[0].to(weight.dtype), None, None, None, None

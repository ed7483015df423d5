"""Loss of the spatial-embedding head.

Koh et al., "Scalable, proposal-free instance segmentation network for 3D pixel clustering and particle trajectory
reconstruction in LArTPC", arXiv:2007.03083; Neven et al., arXiv:1906.11109.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.heads.losses.instances import Instances
from lartpc_sparse.heads.losses.lovasz import lovasz_hinge, segment_sum

__all__ = ["MaskLoss", "embedding_loss_terms", "pair_probability"]

MaskLoss = Literal["lovasz", "bce", "focal", "lovasz_bce"]


def pair_probability(squared_distance: Float[Tensor, " P"], sigma: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Probability p = exp(-d^2 / (2 sigma^2)) of arXiv:1906.11109, equation 3; 2 sigma^2 is at least 1e-12."""
    # A sigmoid far to the left underflows in float32, and 0 / 0 would spoil the weights of the network.
    return torch.exp(-squared_distance / (2.0 * sigma.square()).clamp(min=1e-12))


def _mask_terms(
    probability: Tensor, member: Tensor, instances: Instances, kind: MaskLoss, focal_gamma: float
) -> Float[Tensor, " K"]:
    """Loss of the mask of each instance over all voxels of its group."""
    total = probability.new_zeros(instances.count)
    if kind in ("lovasz", "lovasz_bce"):
        total = total + lovasz_hinge(2.0 * probability - 1.0, member, instances.pair_instance, instances.count)
    if kind in ("bce", "focal", "lovasz_bce"):
        # Written out because torch refuses `binary_cross_entropy` under autocast on CUDA.
        clamped = probability.clamp(1e-6, 1.0 - 1e-6)
        each = -torch.where(member, clamped, 1.0 - clamped).log()
        if kind == "focal":
            each = each * (1.0 - torch.exp(-each)) ** focal_gamma
        pairs = torch.bincount(instances.pair_instance, minlength=instances.count)
        total = total + segment_sum(each, instances.pair_instance, instances.count) / pairs
    return total


def _separation(centroids: Float[Tensor, "K D"], instances: Instances, delta: float) -> Float[Tensor, " G"]:
    """Mean over the pairs k != l of a group of max(0, 2 delta - |c_k - c_l|)^2; 0 for a single instance."""
    group = instances.group_of_instance
    size = torch.bincount(group)
    repeats = size[group]
    first = (size.cumsum(0) - size)[group]
    k = torch.repeat_interleave(torch.arange(instances.count, device=group.device), repeats)
    begin = (repeats.cumsum(0) - repeats)[k]
    other = torch.arange(len(k), device=group.device) - begin + first[k]
    k, other = k[k != other], other[k != other]
    # The square root has no gradient at 0: two centroids that coincide must still repel finitely.
    distance = (centroids[k] - centroids[other]).square().sum(1).clamp(min=1e-12).sqrt()
    penalty = (2.0 * delta - distance).clamp(min=0).square()
    return segment_sum(penalty, group[k], len(size)) / (size * (size - 1)).clamp(min=1)


def embedding_loss_terms(
    embedding: Float[Tensor, "V D"],
    margin: Float[Tensor, " V"],
    seediness: Float[Tensor, " V"],
    instances: Instances,
    *,
    mask_loss: MaskLoss = "lovasz",
    delta: float = 0.2,
    focal_gamma: float = 2.0,
) -> dict[str, Tensor]:
    """The four terms, each averaged over classes, then events; arguments are rows of `instances.voxels`.

    `mask`: p_ik = exp(-|e_i - c_k|^2 / (2 sigma_k^2)) of all voxels of the class against membership;
    `separation`: mean over pairs of max(0, 2 delta - |c_k - c_l|)^2;
    `smoothing`: mean |sigma_i - sg(sigma_k)|; `seediness`: mean |s_i - sg(p_i,own)|.
    Centroid c_k and sigma_k are means over the instance. No instance at all gives zeros.
    """
    if instances.count == 0:
        zero = embedding.sum() * 0.0 + margin.sum() * 0.0 + seediness.sum() * 0.0
        return dict.fromkeys(("mask", "separation", "smoothing", "seediness"), zero)
    own, count = instances.of_voxel, instances.count
    size = torch.bincount(own, minlength=count)
    centroid = segment_sum(embedding, own, count) / size[:, None]
    sigma = segment_sum(margin, own, count) / size

    # Own dtype: distances in half precision would underflow to p = 1.
    pair_instance, pair_voxel = instances.pair_instance, instances.pair_voxel
    squared = (embedding[pair_voxel] - centroid[pair_instance]).square().sum(1)
    probability = pair_probability(squared, sigma[pair_instance])
    member = own[pair_voxel] == pair_instance

    weights = instances.weights().to(embedding.dtype)
    groups = len(instances.event_of_group)
    group_weight = segment_sum(weights, instances.group_of_instance, groups)
    group_of_voxel = instances.group_of_instance[own]
    in_group = torch.bincount(group_of_voxel, minlength=groups)
    own_probability = probability[member].detach()  # pairs run over voxels in order, so this is in voxel order
    smoothing = segment_sum((margin - sigma.detach()[own]).abs(), own, count) / size
    seed = segment_sum((seediness - own_probability).abs(), group_of_voxel, groups) / in_group
    return {
        "mask": (_mask_terms(probability, member, instances, mask_loss, focal_gamma) * weights).sum(),
        "separation": (_separation(centroid, instances, delta) * group_weight).sum(),
        "smoothing": (smoothing * weights).sum(),
        "seediness": (seed * group_weight).sum(),
    }

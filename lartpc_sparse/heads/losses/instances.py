"""Index bookkeeping of per-instance losses: instances, their groups, and all (voxel, instance) pairs of a group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

__all__ = ["Instances", "find_instances"]


@dataclass(frozen=True)
class Instances:
    """True instances of a batch; a group is one semantic class of one event.

    Attributes:
        voxels: rows of the batch that belong to an instance.
        of_voxel: instance of each of these voxels, 0 .. K-1; instances of a group are consecutive.
        group_of_instance: group of each instance, 0 .. G-1.
        event_of_group: event of each group, 0 .. E-1, counting only events that have a group.
        pair_voxel, pair_instance: every voxel of a group with every instance of the same group; the first
            points into `voxels`.
    """

    voxels: Int64[Tensor, " V"]
    of_voxel: Int64[Tensor, " V"]
    group_of_instance: Int64[Tensor, " K"]
    event_of_group: Int64[Tensor, " G"]
    pair_voxel: Int64[Tensor, " P"]
    pair_instance: Int64[Tensor, " P"]

    @property
    def count(self) -> int:
        """Number of instances K."""
        return len(self.group_of_instance)

    def weights(self) -> Tensor:
        """Weight of each instance in "mean over instances, then over classes, then over events"; they sum to 1."""
        instances = torch.bincount(self.group_of_instance)
        groups = torch.bincount(self.event_of_group)
        per_group = 1.0 / (instances * groups[self.event_of_group] * len(groups))
        return per_group[self.group_of_instance]


def find_instances(
    instance: Int64[Tensor, " N"], semantic: Int64[Tensor, " N"], event: Int64[Tensor, " N"]
) -> Instances:
    """Instances of the voxels that have an instance and a class (both >= 0).

    Voxels of one instance number but two classes are two instances.
    """
    voxels = torch.nonzero((instance >= 0) & (semantic >= 0)).squeeze(1)
    # One number for each (event, class, instance): torch.unique of rows compares them one by one on a CPU.
    numbers = torch.unique(instance[voxels], return_inverse=True)
    classes = torch.unique(semantic[voxels], return_inverse=True)
    group_key = event[voxels] * len(classes[0]) + classes[1]
    unique, of_voxel = torch.unique(group_key * len(numbers[0]) + numbers[1], return_inverse=True)
    groups, group_of_instance = torch.unique(unique // max(len(numbers[0]), 1), return_inverse=True)
    event_of_group = torch.unique(groups // max(len(classes[0]), 1), return_inverse=True)[1]
    group_of_voxel = group_of_instance[of_voxel]
    size = torch.bincount(group_of_instance, minlength=len(groups))
    first = size.cumsum(0) - size
    repeats = size[group_of_voxel]
    pair_voxel = torch.repeat_interleave(torch.arange(len(voxels), device=voxels.device), repeats)
    begin = repeats.cumsum(0) - repeats
    pair_instance = (
        torch.arange(len(pair_voxel), device=voxels.device) - begin[pair_voxel] + first[group_of_voxel[pair_voxel]]
    )
    return Instances(voxels, of_voxel, group_of_instance, event_of_group, pair_voxel, pair_instance)

"""Scores of the edges of a voxel graph by the compiled kernels, for inference."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int32, Int64
from torch import Tensor, nn

from lartpc_sparse.sparse.native import graph as native

__all__ = ["SCALE", "EdgeLayers", "compiled_scores"]

SCALE = 8.0
"""Of the way between the ends of an edge, voxels: a middle one, so that its numbers are about 1."""


class EdgeLayers(NamedTuple):
    """The layers of `VoxelGraphHead` that score an edge."""

    place: nn.Linear
    compare: nn.Linear
    score: nn.Linear


def compiled_scores(
    layers: EdgeLayers,
    features: Float[Tensor, "N F"],
    coords: Int32[Tensor, "N D"],
    pairs: Int64[np.ndarray, "E 2"],
) -> Float32[np.ndarray, " E"]:
    """As `VoxelGraphHead.logits` with a sigmoid; what belongs to a voxel is computed once a voxel.

    In float32 on the CPU: bfloat16 (autocast) or TF32 would spoil places that are counted from one voxel.
    """
    width = features.shape[1]
    weight, values, places = layers.compare.weight.detach().cpu(), features.detach().cpu(), coords.cpu()
    # torch's products here, not numpy's, whose threads may be woken up for longer than the work takes
    with torch.autocast("cpu", enabled=False):
        # counted from a voxel: far from 0 the places would take digits from the features
        beyond = (places - places[:1]).float() / SCALE
        shifted = values + F.linear(beyond, layers.place.weight.detach().cpu())
        sums = F.linear(values, weight[:, :width])
    network = native.EdgeNetwork(
        difference=weight[:, width : 2 * width].numpy().T,
        way=weight[:, 2 * width :].numpy().T / np.float32(SCALE),
        bias=layers.compare.bias.detach().cpu().numpy(),
        out=layers.score.weight.detach().cpu().numpy()[0],
        out_bias=float(layers.score.bias),
    )
    return native.score_edges(shifted.numpy(), sums.numpy(), places.numpy(), pairs, network)

"""Attention on sparse features: CBAM in blocks, and gates on the skips of a U-Net."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lartpc_sparse.sparse import PointwiseConv, SparseTensor, StridedConv, SubmanifoldConv
from lartpc_sparse.sparse.depthwise import interpolate_up

__all__ = ["AttentionGate", "Cbam", "event_max", "event_mean"]


def event_mean(x: SparseTensor) -> Float[Tensor, "B C"]:
    """Mean of the features over the voxels of each event; 0 for an event without voxels."""
    level = x.level
    sums = x.feats.new_zeros((level.num_events, x.feats.shape[1])).index_add(0, level.batch_index, x.feats)
    return sums / level.offsets.diff().clamp(min=1)[:, None].to(sums.dtype)


def event_max(x: SparseTensor) -> Float[Tensor, "B C"]:
    """Largest feature over the voxels of each event; 0 for an event without voxels."""
    level = x.level
    index = level.batch_index[:, None].expand_as(x.feats)
    empty = x.feats.new_zeros((level.num_events, x.feats.shape[1]))
    return empty.scatter_reduce(0, index, x.feats, "amax", include_self=False)


class Cbam(nn.Module):
    """Convolutional block attention module (Woo et al., arXiv:1807.06521): channels first, then places.

    Channel attention: sigmoid(MLP(mean) + MLP(max)) over the voxels of an event, equations 1 and 2. Spatial attention:
    sigmoid of a convolution of (mean, max) over the channels, equation 3.
    """

    def __init__(self, channels: int, *, dim: int, reduction: int = 8, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.channel = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.place = SubmanifoldConv(2, 1, kernel_size, dim=dim, bias=True)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same voxels, weighted features."""
        weight = torch.sigmoid(self.channel(event_mean(x)) + self.channel(event_max(x)))
        x = x.replace(x.feats * weight.index_select(0, x.level.batch_index))
        both = torch.stack([x.feats.mean(dim=1), x.feats.amax(dim=1)], dim=1)
        return x.replace(x.feats * torch.sigmoid(self.place(x.replace(both)).feats))


class AttentionGate(nn.Module):
    """Additive attention gate on a skip (Oktay et al., arXiv:1804.03999, equations 1 and 2).

    alpha = sigmoid(psi . relu(W_x x + W_g g + b) + b_psi) on the coarser voxels of the gating features g, linearly
    interpolated to those of the skip x, which is multiplied by it.
    """

    def __init__(self, skip_channels: int, gate_channels: int, *, dim: int) -> None:
        super().__init__()
        hidden = max(skip_channels // 2, 4)
        self.skip = StridedConv(skip_channels, hidden, 2, dim=dim, bias=False)
        self.gate = PointwiseConv(gate_channels, hidden)
        self.psi = PointwiseConv(hidden, 1)

    def attention(self, skip: SparseTensor, gate: SparseTensor) -> SparseTensor:
        """Alpha (N, 1) on the voxels of the skip."""
        together = torch.relu(self.skip(skip).feats + self.gate(gate).feats)
        return interpolate_up(gate.replace(torch.sigmoid(self.psi(gate.replace(together)).feats)))

    def forward(self, skip: SparseTensor, gate: SparseTensor) -> SparseTensor:
        """The skip, weighted; `gate` lives on the voxels twice as coarse."""
        return skip.replace(skip.feats * self.attention(skip, gate).feats)

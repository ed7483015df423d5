"""spconv 2.3.8 (Apache-2.0) on the CPU."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.cases import CaseBatch
from benchmarks.contestant import Unavailable
from benchmarks.network import CONFIG
from benchmarks.peers.peer import Peer
from benchmarks.peers.wrapped_keys import unambiguous_shape

try:
    from spconv import pytorch as spconv  # type: ignore[import-untyped]
    from spconv.pytorch import ops  # type: ignore[import-untyped]
except ImportError as error:
    raise Unavailable(f"{error}; install it with: make bench-peers") from error

__all__ = ["SpconvPeer"]

# Without this, backward on the CPU asks CUDA for its current stream and raises.
ops.get_current_stream = lambda: 0


class _OnFeatures(nn.Module):
    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)

    def forward(self, x: Any) -> Any:
        return x.replace_feature(self.inner(x.features))


class _SpconvToolkit:
    """spconv's layers; layers with the same `indice_key` share their pairs."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def submanifold(self, c_in: int, c_out: int, level: int) -> nn.Module:
        kind = {2: spconv.SubMConv2d, 3: spconv.SubMConv3d}[self.dim]
        layer: nn.Module = kind(c_in, c_out, 3, bias=False, indice_key=f"level{level}")
        return layer

    def down(self, c_in: int, c_out: int, level: int) -> nn.Module:
        kind = {2: spconv.SparseConv2d, 3: spconv.SparseConv3d}[self.dim]
        layer: nn.Module = kind(c_in, c_out, 2, stride=2, bias=False, indice_key=f"down{level}")
        return layer

    def up(self, c_in: int, c_out: int, level: int) -> nn.Module:
        kind = {2: spconv.SparseInverseConv2d, 3: spconv.SparseInverseConv3d}[self.dim]
        layer: nn.Module = kind(c_in, c_out, 2, bias=False, indice_key=f"down{level}")
        return layer

    def pointwise(self, c_in: int, c_out: int) -> nn.Module:
        return _OnFeatures(nn.Linear(c_in, c_out, bias=False))

    def norm_relu(self, channels: int) -> nn.Module:
        return _OnFeatures(nn.BatchNorm1d(channels), nn.ReLU())

    def add(self, a: Any, b: Any) -> Any:
        return a.replace_feature(a.features + b.features)

    def concatenate(self, a: Any, b: Any) -> Any:
        return a.replace_feature(torch.cat([a.features, b.features], dim=1))

    def to_peer(self, weight: Tensor, target: nn.Module) -> Tensor:
        """(K, C_in, C_out) as (C_out, kernel..., C_in)."""
        assert isinstance(target.weight, Tensor)
        return weight.permute(2, 0, 1).reshape(target.weight.shape)

    def to_ours(self, weight: Tensor, source: nn.Module) -> Tensor:
        return weight.flatten(1, -2).permute(1, 2, 0)


class SpconvPeer(Peer):
    """spconv, whose images have a size: it is rounded up to whole voxels of the coarsest level, see `wrapped_keys`."""

    def __init__(self, dim: int) -> None:
        super().__init__(_SpconvToolkit(dim), dim)

    def load(self, batch: CaseBatch) -> None:
        """See `Contestant.load`."""
        self.events = len(batch.offsets) - 1
        self.indices, self.feats = batch.batch_coords(), batch.feats
        self.shape = list(unambiguous_shape(self.indices.numpy().astype(np.int64), batch.shape, 2**CONFIG.depth))

    def build_input(self) -> Any:
        """See `Peer.build_input`."""
        return spconv.SparseConvTensor(self.feats, self.indices, self.shape, self.events)

    def feats_of(self, output: Any) -> Tensor:
        """Spconv keeps the order of the voxels through `SparseInverseConv`."""
        feats: Tensor = output.features
        return feats

    def settings(self) -> dict[str, str]:
        """Version, algorithm and the fix."""
        return {"spconv": version("spconv"), "algorithm": "Native", "fix": "ops.get_current_stream = lambda: 0"}

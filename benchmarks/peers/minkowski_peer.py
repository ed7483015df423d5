"""MinkowskiEngine 0.5.4 (MIT) on the CPU."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.cases import CaseBatch
from benchmarks.contestant import Unavailable
from benchmarks.peers.peer import Peer
from lartpc_sparse.sparse.engines.minkowski_package import import_minkowski, reason_unavailable, slots_of_minkowski

if (_reason := reason_unavailable("cpu")) is not None:
    raise Unavailable(_reason)
ME = import_minkowski()

__all__ = ["MinkowskiPeer"]


class _MinkowskiToolkit:
    """MinkowskiEngine's layers."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.orders = {size**dim: slots_of_minkowski((size,) * dim) for size in (2, 3)}

    def submanifold(self, c_in: int, c_out: int, level: int) -> nn.Module:
        layer: nn.Module = ME.MinkowskiConvolution(c_in, c_out, kernel_size=3, dimension=self.dim)
        return layer

    def down(self, c_in: int, c_out: int, level: int) -> nn.Module:
        layer: nn.Module = ME.MinkowskiConvolution(c_in, c_out, kernel_size=2, stride=2, dimension=self.dim)
        return layer

    def up(self, c_in: int, c_out: int, level: int) -> nn.Module:
        layer: nn.Module = ME.MinkowskiConvolutionTranspose(c_in, c_out, kernel_size=2, stride=2, dimension=self.dim)
        return layer

    def pointwise(self, c_in: int, c_out: int) -> nn.Module:
        layer: nn.Module = ME.MinkowskiLinear(c_in, c_out, bias=False)
        return layer

    def norm_relu(self, channels: int) -> nn.Module:
        return nn.Sequential(ME.MinkowskiBatchNorm(channels), ME.MinkowskiReLU())

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def concatenate(self, a: Any, b: Any) -> Any:
        return ME.cat(a, b)

    def to_peer(self, weight: Tensor, target: nn.Module) -> Tensor:
        return weight[self.orders[len(weight)]]

    def to_ours(self, weight: Tensor, source: nn.Module) -> Tensor:
        return weight[torch.argsort(torch.tensor(self.orders[len(weight)]))]


class MinkowskiPeer(Peer):
    """MinkowskiEngine; a fresh coordinate manager every pass."""

    def __init__(self, dim: int) -> None:
        super().__init__(_MinkowskiToolkit(dim), dim)

    def load(self, batch: CaseBatch) -> None:
        """See `Contestant.load`."""
        self.batch_coords, self.feats = batch.batch_coords(), batch.feats

    def build_input(self) -> Any:
        """See `Peer.build_input`."""
        return ME.SparseTensor(self.feats, self.batch_coords)

    def feats_of(self, output: Any) -> Tensor:
        """MinkowskiEngine keeps the order of voxels that are all different; the agreement check relies on it."""
        feats: Tensor = output.F
        return feats

    def settings(self) -> dict[str, str]:
        """Version."""
        return {"MinkowskiEngine": version("MinkowskiEngine")}

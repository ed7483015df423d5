"""The benchmark's UResNet over any package's layers, module for module in the order of ours: weights can be copied."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from benchmarks.network import CONFIG
from lartpc_sparse.backbone import UResNet
from lartpc_sparse.sparse import PointwiseConv

__all__ = ["PeerNetwork", "Toolkit", "copy_weights", "gradients"]


class Toolkit(Protocol):
    """A package's layers; `level` is the finer level that a layer touches, 0 at full resolution.

    A peer's tensors are of a type of its own, hence `Any`.
    """

    def submanifold(self, c_in: int, c_out: int, level: int) -> nn.Module:
        """3^D convolution, voxels kept, no bias."""

    def down(self, c_in: int, c_out: int, level: int) -> nn.Module:
        """2^D convolution of step 2, no bias."""

    def up(self, c_in: int, c_out: int, level: int) -> nn.Module:
        """Transpose of `down`, back onto the voxels of `level`."""

    def pointwise(self, c_in: int, c_out: int) -> nn.Module:
        """1 x 1 convolution, no bias."""

    def norm_relu(self, channels: int) -> nn.Module:
        """Batch norm and ReLU."""

    def add(self, a: Any, b: Any) -> Any:
        """Sum of two tensors on the same voxels."""

    def concatenate(self, a: Any, b: Any) -> Any:
        """Features of two tensors on the same voxels side by side."""

    def to_peer(self, weight: Tensor, target: nn.Module) -> Tensor:
        """Our convolution weight (K, C_in, C_out) in the layout of `target`'s."""

    def to_ours(self, weight: Tensor, source: nn.Module) -> Tensor:
        """Inverse of `to_peer`."""


class _Block(nn.Module):
    def __init__(self, kit: Toolkit, c_in: int, c_out: int, level: int) -> None:
        super().__init__()
        self.kit = kit
        self.path = nn.Sequential(
            kit.norm_relu(c_in),
            kit.submanifold(c_in, c_out, level),
            kit.norm_relu(c_out),
            kit.submanifold(c_out, c_out, level),
        )
        self.shortcut = nn.Identity() if c_in == c_out else kit.pointwise(c_in, c_out)

    def forward(self, x: Any) -> Any:
        return self.kit.add(self.path(x), self.shortcut(x))


class PeerNetwork(nn.Module):
    """`lartpc_sparse.backbone.UResNet` as `benchmarks.network` configures it, with one stream."""

    def __init__(self, kit: Toolkit) -> None:
        super().__init__()
        self.kit = kit
        widths = [CONFIG.channels(level) for level in range(CONFIG.depth + 1)]
        self.stem = kit.submanifold(1, widths[0], 0)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(_Block(kit, width, width, level) for _ in range(CONFIG.blocks)))
            for level, width in enumerate(widths)
        )
        self.down = nn.ModuleList(
            nn.Sequential(kit.norm_relu(fine), kit.down(fine, coarse, level))
            for level, (fine, coarse) in enumerate(itertools.pairwise(widths))
        )
        upwards = [(level, widths[level], widths[level + 1]) for level in reversed(range(CONFIG.depth))]
        self.up = nn.ModuleList(
            nn.Sequential(kit.norm_relu(coarse), kit.up(coarse, fine, level)) for level, fine, coarse in upwards
        )
        self.decoder = nn.ModuleList(
            nn.Sequential(
                _Block(kit, 2 * fine, fine, level), *(_Block(kit, fine, fine, level) for _ in range(CONFIG.blocks - 1))
            )
            for level, fine, _ in upwards
        )
        self.final = kit.norm_relu(widths[0])

    def forward(self, x: Any) -> Any:
        """Output features on the input voxels, in the peer's own tensor."""
        skips = [self.encoder[0](self.stem(x))]
        for down, blocks in zip(self.down, list(self.encoder)[1:], strict=True):
            skips.append(blocks(down(skips[-1])))
        x = skips.pop()
        for up, blocks in zip(self.up, self.decoder, strict=True):
            x = blocks(self.kit.concatenate(skips.pop(), up(x)))
        return self.final(x)


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    """Modules with weights of their own, in the order in which they were made."""
    return (module for module in network.modules() if next(module.parameters(recurse=False), None) is not None)


def _paired(peer: PeerNetwork, ours: UResNet) -> Iterator[tuple[nn.Module, nn.Module]]:
    return zip(_layers(peer), _layers(ours), strict=True)


def _weight(layer: nn.Module) -> nn.Parameter:
    weight = next(layer.parameters(recurse=False))
    assert isinstance(weight, nn.Parameter)
    return weight


@torch.no_grad()
def copy_weights(peer: PeerNetwork, ours: UResNet) -> None:
    """Give the peer our weights and running statistics."""
    for theirs, own in _paired(peer, ours):
        if isinstance(own, nn.BatchNorm1d):
            theirs.load_state_dict(own.state_dict())
        elif isinstance(own, PointwiseConv):
            _weight(theirs).copy_(own.weight.T.reshape(_weight(theirs).shape))
        else:
            _weight(theirs).copy_(peer.kit.to_peer(_weight(own), theirs))


def gradients(peer: PeerNetwork, ours: UResNet) -> dict[str, Tensor]:
    """Gradients of the peer's convolution weights, under our names and in our layout."""
    names = {module: name for name, module in ours.named_modules()}
    result = {}
    for theirs, own in _paired(peer, ours):
        if isinstance(own, nn.BatchNorm1d):
            continue
        grad = _weight(theirs).grad
        assert grad is not None, f"{names[own]} has no gradient"
        pointwise = isinstance(own, PointwiseConv)
        result[f"{names[own]}.weight"] = grad.flatten(1).T if pointwise else peer.kit.to_ours(grad, theirs)
    return result

"""Blocks of the backbone: convolutions with normalisation and activation, plain or residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from lartpc_sparse.sparse import BatchNorm, FeatureLayer, NormActivation, PointwiseConv, SparseTensor, SubmanifoldConv

__all__ = ["ActivationName", "Block", "BlockStyle", "NormName", "PlainBlock", "ResidualBlock"]

ActivationName = Literal["relu", "leaky_relu", "elu", "gelu"]
NormName = Literal["batch", "layer", "none"]

_ACTIVATIONS: dict[ActivationName, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.33),  # slope of the public spatial-embedding configurations
    "elu": nn.ELU,
    "gelu": nn.GELU,
}


@dataclass(frozen=True)
class BlockStyle:
    """What all blocks of a backbone have in common."""

    dim: int
    kernel_size: int = 3
    norm: NormName = "batch"
    activation: ActivationName = "relu"

    def normalisation(self, channels: int) -> nn.Module:
        """A layer that normalises `channels` features."""
        if self.norm == "batch":
            return BatchNorm(channels)
        return FeatureLayer(nn.LayerNorm(channels) if self.norm == "layer" else nn.Identity())

    def norm_activation(self, channels: int) -> NormActivation:
        """Normalisation, then activation."""
        activation = _ACTIVATIONS[self.activation]()
        # The normalised features are needed nowhere else; without a norm they are the block's own input.
        if self.norm != "none" and hasattr(activation, "inplace"):
            activation.inplace = True  # type: ignore[assignment]
        return NormActivation(self.normalisation(channels), FeatureLayer(activation))

    def convolution(self, in_channels: int, out_channels: int) -> SubmanifoldConv:
        """A submanifold convolution; it has a bias only where no normalisation follows."""
        return SubmanifoldConv(in_channels, out_channels, self.kernel_size, dim=self.dim, bias=self.norm == "none")


class Block(nn.Module):
    """Base of the blocks: `Block(in_channels, out_channels, style)`, voxels kept."""

    def __init__(self, in_channels: int, out_channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.path = nn.Sequential(
            style.norm_activation(in_channels),
            style.convolution(in_channels, out_channels),
            style.norm_activation(out_channels),
            style.convolution(out_channels, out_channels),
        )


class PlainBlock(Block):
    """Twice normalisation, activation, convolution."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same voxels, `out_channels` features."""
        result: SparseTensor = self.path(x)
        return result


class ResidualBlock(Block):
    """Pre-activation residual block (He et al., arXiv:1603.05027); a 1 x 1 convolution fits the shortcut."""

    def __init__(self, in_channels: int, out_channels: int, style: BlockStyle) -> None:
        super().__init__(in_channels, out_channels, style)
        self.shortcut = (
            nn.Identity() if in_channels == out_channels else PointwiseConv(in_channels, out_channels, bias=False)
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same voxels, `out_channels` features."""
        return x.replace(self.path(x).feats + self.shortcut(x).feats)

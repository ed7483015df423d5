"""Blocks of the backbone: convolutions with normalisation and activation, plain or residual, full or separable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from lartpc_sparse.backbone.attention import Cbam
from lartpc_sparse.sparse import (
    BatchNorm,
    FeatureLayer,
    NormActivation,
    PointwiseConv,
    SparseTensor,
    SubmanifoldConv,
    is_hooked,
    is_residual,
)
from lartpc_sparse.sparse.depthwise import DepthwiseConv

__all__ = [
    "ActivationName",
    "AttentionName",
    "Block",
    "BlockStyle",
    "ConvolutionName",
    "NormName",
    "PlainBlock",
    "ResidualBlock",
]

ActivationName = Literal["relu", "leaky_relu", "elu", "gelu"]
NormName = Literal["batch", "layer", "none"]
ConvolutionName = Literal["full", "separable"]
AttentionName = Literal["none", "cbam"]

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
    separable: bool = False
    cbam: bool = False

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

    def convolution(self, in_channels: int, out_channels: int) -> nn.Module:
        """A submanifold convolution, full or depthwise and then pointwise (arXiv:1704.04861).

        It has a bias only where no normalisation follows.
        """
        if self.separable:
            return nn.Sequential(
                DepthwiseConv(in_channels, self.kernel_size, dim=self.dim),
                PointwiseConv(in_channels, out_channels, bias=self.norm == "none"),
            )
        return SubmanifoldConv(in_channels, out_channels, self.kernel_size, dim=self.dim, bias=self.norm == "none")


class Block(nn.Module):
    """Base of the blocks: `Block(in_channels, out_channels, style)`, voxels kept; CBAM, if any, is the path's end."""

    def __init__(self, in_channels: int, out_channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.path = nn.Sequential(
            style.norm_activation(in_channels),
            style.convolution(in_channels, out_channels),
            style.norm_activation(out_channels),
            style.convolution(out_channels, out_channels),
            *([Cbam(out_channels, dim=style.dim)] if style.cbam else []),
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
        first, last = self.path[0], self.path[-1]
        if not isinstance(first, NormActivation) or not isinstance(last, SubmanifoldConv) or not self._joins(x, last):
            return x.replace(self.path(x).feats + self.shortcut(x).feats)
        y, around = first.beside(x)
        for layer in list(self.path)[1:-1]:
            y = layer(y)
        return last.onto(y, around, self.shortcut.weight if isinstance(self.shortcut, PointwiseConv) else None)

    def _joins(self, x: SparseTensor, last: SubmanifoldConv) -> bool:
        """Whether the last convolution and the sum are one pass with the same result."""
        if last.bias is not None or not is_residual(x.plan.engine):
            return False
        if is_hooked(self.path, self.shortcut, self.path[0], last):
            return False
        if isinstance(self.shortcut, PointwiseConv):
            return self.shortcut.bias is None
        device = x.feats.device.type
        rounded = torch.is_autocast_enabled(device) and x.feats.dtype != torch.get_autocast_dtype(device)
        return type(self.shortcut) is nn.Identity and not rounded

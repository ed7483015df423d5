"""Layers: the operations with their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lartpc_sparse.sparse.kernel import kernel_volume, per_axis
from lartpc_sparse.sparse.operations import (
    PoolMode,
    pointwise_conv,
    pool,
    strided_conv,
    submanifold_conv,
    transposed_conv,
)
from lartpc_sparse.sparse.tensor import SparseTensor

__all__ = [
    "BatchNorm",
    "FeatureLayer",
    "PointwiseConv",
    "Pool",
    "StridedConv",
    "SubmanifoldConv",
    "TransposedConv",
]


def _initialise(weight: Tensor, bias: Tensor | None, fan_in: float) -> None:
    """Normal weights of variance 2 / fan-in (He et al., arXiv:1502.01852); zero bias."""
    nn.init.normal_(weight, std=math.sqrt(2.0 / fan_in))
    if bias is not None:
        nn.init.zeros_(bias)


class _Convolution(nn.Module):
    """Weight (K, C_in, C_out) and bias of a convolution in `dim` axes."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | Sequence[int], *, dim: int, bias: bool
    ) -> None:
        super().__init__()
        self.kernel_size = per_axis(kernel_size, dim, "kernel_size")
        volume = kernel_volume(self.kernel_size)
        self.weight = nn.Parameter(torch.empty(volume, in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        _initialise(self.weight, self.bias, self._fan_in(volume, in_channels))

    def _fan_in(self, volume: int, in_channels: int) -> float:
        return volume * in_channels

    def extra_repr(self) -> str:
        volume, c_in, c_out = self.weight.shape
        return f"{c_in}, {c_out}, kernel_size={self.kernel_size}, K={volume}, bias={self.bias is not None}"


class SubmanifoldConv(_Convolution):
    """`submanifold_conv` with its weight."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int] = 3,
        *,
        dim: int,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dim=dim, bias=bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same voxels, C_out features."""
        return submanifold_conv(x, self.weight, self.kernel_size, self.bias)


class _SteppedConvolution(_Convolution):
    """A convolution between two resolutions; the kernel is as large as the step unless given."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        step: int | Sequence[int] = 2,
        kernel_size: int | Sequence[int] | None = None,
        *,
        dim: int,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, step if kernel_size is None else kernel_size, dim=dim, bias=bias)
        self.step = per_axis(step, dim, "step")


class StridedConv(_SteppedConvolution):
    """`strided_conv` with its weight."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Coarser voxels, C_out features."""
        return strided_conv(x, self.weight, self.kernel_size, self.step, self.bias)


class TransposedConv(_SteppedConvolution):
    """`transposed_conv` with its weight."""

    def _fan_in(self, volume: int, in_channels: int) -> float:
        # With kernel = step every fine voxel has exactly one coarse parent.
        return in_channels

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Finer voxels, C_out features."""
        return transposed_conv(x, self.weight, self.kernel_size, self.step, self.bias)


class PointwiseConv(nn.Module):
    """1 x 1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        _initialise(self.weight, self.bias, in_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Same voxels, C_out features."""
        return pointwise_conv(x, self.weight, self.bias)


class Pool(nn.Module):
    """`pool`; the kernel is as large as the step unless given."""

    def __init__(
        self,
        mode: PoolMode = "max",
        step: int | Sequence[int] = 2,
        kernel_size: int | Sequence[int] | None = None,
        *,
        dim: int,
    ) -> None:
        super().__init__()
        self.mode: PoolMode = mode
        self.step = per_axis(step, dim, "step")
        self.kernel_size = per_axis(step if kernel_size is None else kernel_size, dim, "kernel_size")

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Coarser voxels, same number of features."""
        return pool(x, self.kernel_size, self.step, self.mode)


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all voxels of the batch.

    A level of fewer than two voxels (a nearly empty batch) has no variance: it is normalised with the running
    statistics, which it does not change, instead of raising as torch does.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Normalised features, same voxels."""
        if self.training and len(x) < 2:
            return x.replace(
                nn.functional.batch_norm(
                    x.feats, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
                )
            )
        return x.replace(super().forward(x.feats))


class FeatureLayer(nn.Module):
    """A torch module on the features, voxels kept: activations, dropout, layer norms."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Transformed features, same voxels."""
        return x.replace(self.module(x.feats))

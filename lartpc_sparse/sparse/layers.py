"""Layers: the operations with their weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lartpc_sparse.sparse.batch_norm_across_ranks import batch_norm_across_ranks, join_statistics
from lartpc_sparse.sparse.kernel import kernel_volume, per_axis
from lartpc_sparse.sparse.normalisation import is_normalising
from lartpc_sparse.sparse.operations import (
    PoolMode,
    pointwise_conv,
    pool,
    strided_conv,
    submanifold_conv,
    submanifold_conv_onto,
    transposed_conv,
)
from lartpc_sparse.sparse.tensor import SparseTensor

__all__ = [
    "BatchNorm",
    "FeatureLayer",
    "NormActivation",
    "PointwiseConv",
    "Pool",
    "StridedConv",
    "SubmanifoldConv",
    "TransposedConv",
    "is_hooked",
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

    def onto(self, x: SparseTensor, shortcut: SparseTensor, shortcut_weight: Tensor | None = None) -> SparseTensor:
        """The convolution plus a shortcut in one pass, see `submanifold_conv_onto`; only without a bias."""
        assert self.bias is None
        return submanifold_conv_onto(x, self.weight, self.kernel_size, shortcut, shortcut_weight)


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

    Attributes:
        across_ranks: in training, take the statistics over the voxels of all ranks of the job.
    """

    across_ranks = False

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Normalised features, same voxels."""
        if self.training and self.across_ranks:
            return x.replace(self._across_ranks(x.feats))
        if self.training and len(x) < 2:
            return x.replace(
                nn.functional.batch_norm(
                    x.feats, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
                )
            )
        return x.replace(super().forward(x.feats))

    def _across_ranks(self, feats: Tensor) -> Tensor:
        statistics = join_statistics(feats)
        if statistics.number < 2:
            assert self.running_mean is not None
            assert self.running_var is not None
            return (feats - self.running_mean) * (self.running_var + self.eps).rsqrt() * self.weight + self.bias
        self.track(statistics.mean, statistics.variance, statistics.number)
        return batch_norm_across_ranks(feats, self.weight, self.bias, self.eps, statistics)

    def track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Bring the running statistics up to date with those of `count` voxels (biased variance), as torch does."""
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            unbiased = variance * (count / (count - 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


class FeatureLayer(nn.Module):
    """A torch module on the features, voxels kept: activations, dropout, layer norms."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Transformed features, same voxels."""
        return x.replace(self.module(x.feats))


class NormActivation(nn.Sequential):
    """A normalisation, then an activation.

    In training, a `BatchNorm` with a ReLU or leaky ReLU is one pass each way on engines that offer it
    (`NormalisingEngine`); the running statistics follow torch's rules.
    """

    def __init__(self, norm: nn.Module, activation: nn.Module) -> None:
        super().__init__(norm, activation)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Normalised and activated features, same voxels."""
        return self.beside(x)[0]

    def beside(self, x: SparseTensor) -> tuple[SparseTensor, SparseTensor]:
        """The same, and x again: a path around this layer that starts there has its gradient added inside the norm's.

        The second must not be changed in place.
        """
        norm, activation = self
        engine, slope = x.plan.engine, _slope(activation)
        fits = isinstance(norm, BatchNorm) and norm.training and norm.affine and not norm.across_ranks
        fits = fits and not is_hooked(norm, activation) and _is_normalised_beside(x.feats.dtype, norm.weight)
        if not fits or slope is None or len(x) < 2 or not is_normalising(engine):
            return activation(norm(x)), x
        assert isinstance(norm, BatchNorm)
        found = engine.batch_norm(x.feats, norm.weight, norm.bias, norm.eps, slope)
        norm.track(found.mean, found.variance, len(x))
        return x.replace(found.feats), x.replace(found.passed)


def _is_normalised_beside(feats: torch.dtype, weight: object) -> bool:
    """Whether engines normalise such features with this weight: see `NormalisingEngine`."""
    if not isinstance(weight, Tensor):
        return False
    return feats == weight.dtype or (feats == torch.bfloat16 and weight.dtype == torch.float32)


def _slope(layer: nn.Module) -> float | None:
    """Slope below 0 of a ReLU or leaky ReLU, None for anything else."""
    module = layer.module if isinstance(layer, FeatureLayer) else None
    if isinstance(module, nn.ReLU):
        return 0.0
    return module.negative_slope if isinstance(module, nn.LeakyReLU) and module.negative_slope >= 0 else None


def is_hooked(*modules: nn.Module) -> bool:
    """Whether somebody wants to see what passes through the modules one by one."""
    own = any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in modules
    )
    return own or bool(nn.modules.module._has_any_global_hook())  # type: ignore[no-untyped-call]

"""Operations on sparse tensors, as pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.kernel import per_axis
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.residual import is_residual
from lartpc_sparse.sparse.tensor import SparseTensor

__all__ = [
    "apply_to_feats",
    "concatenate",
    "pointwise_conv",
    "pool",
    "strided_conv",
    "submanifold_conv",
    "submanifold_conv_onto",
    "transposed_conv",
]

PoolMode = Literal["max", "mean", "sum"]


def _convolve(
    x: SparseTensor,
    weight: Float[Tensor, "K C_in C_out"],
    kernel_map: KernelMap,
    bias: Float[Tensor, " C_out"] | None,
) -> Tensor:
    _check_weight(x, weight, kernel_map)
    feats, weight = _autocast(x.feats, weight)
    out = x.plan.engine.convolve(feats, weight, kernel_map)
    return out if bias is None else out + bias.to(out.dtype)


def _check_weight(x: SparseTensor, weight: Tensor, kernel_map: KernelMap) -> None:
    if weight.shape[0] != kernel_map.kernel_volume or weight.shape[1] != x.feats.shape[1]:
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} (K, C_in, C_out) does not fit a kernel of "
            f"{kernel_map.kernel_volume} slots on {x.feats.shape[1]} features"
        )


def _autocast(*tensors: Tensor) -> list[Tensor]:
    """The tensors, in the format of autocast where it is on."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [tensor.to(dtype) for tensor in tensors]


def submanifold_conv(
    x: SparseTensor,
    weight: Float[Tensor, "K C_in C_out"],
    kernel_size: tuple[int, ...],
    bias: Float[Tensor, " C_out"] | None = None,
) -> SparseTensor:
    """Submanifold sparse convolution: the set of voxels stays as it is (Graham et al., arXiv:1711.10275).

    Raises:
        ValueError: even kernel size, or a weight that does not fit kernel and features.
    """
    kernel_map = x.plan.submanifold_map(x.stride, kernel_size)
    return x.replace(_convolve(x, weight, kernel_map, bias))


def submanifold_conv_onto(
    x: SparseTensor,
    weight: Float[Tensor, "K C_in C_out"],
    kernel_size: tuple[int, ...],
    shortcut: SparseTensor,
    shortcut_weight: Float[Tensor, "_ _"] | None = None,
) -> SparseTensor:
    """`submanifold_conv` of x plus the shortcut, itself or through a 1 x 1 convolution; see `ResidualEngine`.

    Under autocast all of it, the shortcut too, is in the format of autocast.

    Raises:
        ValueError: even kernel size, a shortcut on other voxels, or weights and shortcut that do not fit kernel and
            features.
        TypeError: the engine offers no `convolve_onto`.
    """
    engine = x.plan.engine
    if not is_residual(engine):
        raise TypeError(f"engine {engine.name} has no convolution onto a shortcut")
    if shortcut.plan is not x.plan or shortcut.stride != x.stride:
        raise ValueError("the shortcut is not on the same voxels: another plan or stride")
    kernel_map = x.plan.submanifold_map(x.stride, kernel_size)
    _check_weight(x, weight, kernel_map)
    feats, weight, onto, *others = _autocast(
        x.feats, weight, shortcut.feats, *([] if shortcut_weight is None else [shortcut_weight])
    )
    fits = (len(onto), onto.shape[1]) == (len(feats), others[0].shape[0] if others else weight.shape[2])
    if not fits or (others and others[0].shape[1] != weight.shape[2]):
        raise ValueError(
            f"a shortcut of shape {tuple(onto.shape)} and its weight of shape "
            f"{tuple(others[0].shape) if others else None} do not fit a result of {(len(feats), weight.shape[2])}"
        )
    return x.replace(engine.convolve_onto(feats, weight, kernel_map, onto, others[0] if others else None))


def strided_conv(
    x: SparseTensor,
    weight: Float[Tensor, "K C_in C_out"],
    kernel_size: tuple[int, ...],
    step: tuple[int, ...],
    bias: Float[Tensor, " C_out"] | None = None,
) -> SparseTensor:
    """Convolution onto the voxels floor(coords / step): out[q] = sum_k W_k in[step q + offset_k].

    Raises:
        ValueError: a weight that does not fit kernel and features.
    """
    kernel_map = x.plan.strided_map(x.stride, kernel_size, step)
    feats = _convolve(x, weight, kernel_map, bias)
    return SparseTensor(feats, x.plan, x.plan.coarser(x.stride, step).stride)


def transposed_conv(
    x: SparseTensor,
    weight: Float[Tensor, "K C_in C_out"],
    kernel_size: tuple[int, ...],
    step: tuple[int, ...],
    bias: Float[Tensor, " C_out"] | None = None,
) -> SparseTensor:
    """Transpose of `strided_conv`, back onto the finer voxels that the plan already has.

    Raises:
        ValueError: the stride is not a multiple of `step`, or the weight does not fit.
        KeyError: the plan has no level of the finer stride.
    """
    step = per_axis(step, x.dim, "step")
    if any(have % step_ for have, step_ in zip(x.stride, step, strict=True)):
        raise ValueError(f"cannot go up by {step} from stride {x.stride}")
    stride = tuple(have // step_ for have, step_ in zip(x.stride, step, strict=True))
    kernel_map = x.plan.strided_map(stride, kernel_size, step).transposed
    return SparseTensor(_convolve(x, weight, kernel_map, bias), x.plan, stride)


def pointwise_conv(
    x: SparseTensor, weight: Float[Tensor, "C_in C_out"], bias: Float[Tensor, " C_out"] | None = None
) -> SparseTensor:
    """1 x 1 convolution: the same linear map on every voxel."""
    return x.replace(torch.nn.functional.linear(x.feats, weight.T, bias))


def pool(x: SparseTensor, kernel_size: tuple[int, ...], step: tuple[int, ...], mode: PoolMode) -> SparseTensor:
    """Pool the active voxels under the kernel onto the voxels floor(coords / step).

    `mean` divides by the number of active voxels. A voxel under no kernel slot that is active gets 0.

    Raises:
        ValueError: unknown mode.
    """
    reductions = {"max": "amax", "mean": "mean", "sum": "sum"}
    if mode not in reductions:
        raise ValueError(f"pool mode must be one of {sorted(reductions)}, got {mode!r}")
    kernel_map = x.plan.strided_map(x.stride, kernel_size, step)
    channels = x.feats.shape[1]
    pooled = x.feats.new_zeros((kernel_map.num_out, channels)).scatter_reduce(
        0,
        kernel_map.out_index[:, None].expand(-1, channels),
        x.feats.index_select(0, kernel_map.in_index),
        reductions[mode],
        include_self=False,
    )
    return SparseTensor(pooled, x.plan, x.plan.coarser(x.stride, step).stride)


def apply_to_feats(x: SparseTensor, function: Callable[[Tensor], Tensor]) -> SparseTensor:
    """Any function of the features, voxels kept (activations, norms)."""
    return x.replace(function(x.feats))


def concatenate(*tensors: SparseTensor) -> SparseTensor:
    """Features side by side, for tensors on the same voxels.

    Raises:
        ValueError: the tensors live on different plans or levels.
    """
    first = tensors[0]
    for other in tensors[1:]:
        if other.plan is not first.plan or other.stride != first.stride:
            raise ValueError(f"cannot concatenate tensors of strides {first.stride} and {other.stride} or of two plans")
    return first.replace(torch.cat([x.feats for x in tensors], dim=1))

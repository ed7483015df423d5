"""Calls of the compiled normalisation kernels on tensors."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lartpc_sparse.sparse.native.library import check_status, library
from lartpc_sparse.sparse.native.tensors import DTYPES, whole_rows

__all__ = ["moments", "normalise", "normalise_gradient"]


def moments(feats: Float[Tensor, "N C"]) -> tuple[Float64[Tensor, " C"], Float64[Tensor, " C"]]:
    """Mean and biased variance of each channel; float32, float64 or bfloat16 features, N > 0."""
    x = whole_rows(feats)
    mean, variance = torch.empty((2, x.shape[1]), dtype=torch.float64)
    check_status(
        library().norm_moments(
            DTYPES[x.dtype],
            x.data_ptr(),
            x.stride(0),
            *x.shape,
            mean.data_ptr(),
            variance.data_ptr(),
            torch.get_num_threads(),
        )
    )
    return mean, variance


def normalise(
    feats: Float[Tensor, "N C"], scale: Float64[Tensor, " C"], shift: Float64[Tensor, " C"], slope: float
) -> Float[Tensor, "N C"]:
    """Leaky ReLU (slope 0: ReLU, 1: none) of scale * feats + shift."""
    x = whole_rows(feats)
    result = torch.empty(tuple(x.shape), dtype=x.dtype)
    check_status(
        library().norm_apply(
            DTYPES[x.dtype],
            x.data_ptr(),
            x.stride(0),
            *x.shape,
            scale.data_ptr(),
            shift.data_ptr(),
            slope,
            result.data_ptr(),
            torch.get_num_threads(),
        )
    )
    return result


def normalise_gradient(
    feats: Float[Tensor, "N C"],
    grad: Float[Tensor, "N C"],
    factors: Float64[Tensor, "4 C"],
    slope: float,
    added: Float[Tensor, "N C"] | None = None,
) -> tuple[Float[Tensor, "N C"], Float64[Tensor, " C"], Float64[Tensor, " C"]]:
    """Gradients of `normalise` through the statistics of the same rows (Ioffe and Szegedy, arXiv:1502.03167).

    Args:
        feats: what was normalised.
        grad: gradient of the result.
        factors: scale = weight * rstd, shift = bias - mean * scale, mean, rstd.
        slope: as in `normalise`.
        added: gradient of the features that came another way.

    Returns:
        gradients of the features (`added` included), the weight and the bias.
    """
    x, g = whole_rows(feats), whole_rows(grad)
    more = None if added is None else whole_rows(added)
    factors = factors.contiguous()
    scale, shift, mean, rstd = factors
    result = torch.empty(tuple(x.shape), dtype=x.dtype)
    by_weight, by_bias = torch.empty((2, x.shape[1]), dtype=torch.float64)
    check_status(
        library().norm_gradient(
            DTYPES[x.dtype],
            x.data_ptr(),
            x.stride(0),
            g.data_ptr(),
            g.stride(0),
            None if more is None else more.data_ptr(),
            0 if more is None else more.stride(0),
            *x.shape,
            scale.data_ptr(),
            shift.data_ptr(),
            mean.data_ptr(),
            rstd.data_ptr(),
            slope,
            result.data_ptr(),
            by_weight.data_ptr(),
            by_bias.data_ptr(),
            torch.get_num_threads(),
        )
    )
    return result, by_weight, by_bias

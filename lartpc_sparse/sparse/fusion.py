"""Convolutions with what stands around them in one pass: several inputs, bias, residual, folded norm, activation.

    sum[q] = sum over inputs i and pairs (p, q, k) of map i of input_i[p] @ weight_i[k] + bias + residual[q]
    result = activation(scale * sum[q] + shift), once for every epilogue

Engines that can do it offer `prepare`; `is_fusing` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.engines.base import Engine, offers
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["Epilogue", "FusedConvolution", "FusingEngine", "is_fusing"]


@dataclass(frozen=True)
class Epilogue:
    """One result of a convolution.

    Attributes:
        scale, shift: None for 1 and 0: a folded batch norm.
        activation: what is applied last.
        slope: of a leaky ReLU below 0; 0 makes it a ReLU.
    """

    scale: Float[Tensor, " C_out"] | None = None
    shift: Float[Tensor, " C_out"] | None = None
    activation: Literal["leaky_relu", "elu", "gelu"] | None = None
    slope: float = 0.0


@runtime_checkable
class FusedConvolution(Protocol):
    """A convolution made by `FusingEngine.prepare`; no gradients."""

    def __call__(
        self,
        inputs: Sequence[Float[Tensor, "_ _"]],
        maps: Sequence[KernelMap | None],
        num_out: int,
        residual: Float[Tensor, "num_out C_out"] | None = None,
    ) -> list[Tensor]:
        """One (num_out, C_out) result for every epilogue; maps lead to the same voxels, None is voxel to voxel."""


class FusingEngine(Engine, Protocol):
    """An engine with fused convolutions."""

    def prepare(
        self,
        weights: Sequence[Float[Tensor, "... _ C_out"]],
        epilogues: Sequence[Epilogue],
        bias: Float[Tensor, " C_out"] | None,
        dtype: torch.dtype,
    ) -> FusedConvolution:
        """A fused convolution of one input for every weight: (K, C_in, C_out), or (C_in, C_out) voxel by voxel.

        The weights are read, and converted to `dtype`, now; later changes need not have an effect.
        """


def is_fusing(engine: Engine) -> TypeGuard[FusingEngine]:
    """Whether the engine offers fused convolutions."""
    return offers(engine, "prepare")

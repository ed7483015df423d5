"""Convolutions with what stands around them in one pass: several inputs, bias, residual, folded norm, activation.

    sum[q] = sum over terms, pairs (p, q, k) of feats[p] @ weight[k] + bias + residual[q]
    result = activation(scale * sum[q] + shift), once for every epilogue

Engines that can do it offer `fused`; `is_fusing` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.engines.base import Engine
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["Epilogue", "FusingEngine", "Term", "is_fusing"]


@dataclass(frozen=True)
class Term:
    """One summand of a convolution; without a map, a linear layer on every voxel.

    Attributes:
        feats: (num_in, C_in).
        weight: (K, C_in, C_out), or (C_in, C_out) without a map.
    """

    feats: Float[Tensor, "num_in C_in"]
    weight: Float[Tensor, "*K C_in C_out"]
    kernel_map: KernelMap | None = None


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
class FusingEngine(Engine, Protocol):
    """An engine with fused convolutions; no gradients."""

    def fused(
        self,
        terms: Sequence[Term],
        num_out: int,
        epilogues: Sequence[Epilogue],
        *,
        bias: Float[Tensor, " C_out"] | None = None,
        residual: Float[Tensor, "num_out C_out"] | None = None,
    ) -> list[Tensor]:
        """One (num_out, C_out) result for every epilogue; all maps lead to the same voxels."""


def is_fusing(engine: Engine) -> TypeGuard[FusingEngine]:
    """Whether the engine offers fused convolutions."""
    return isinstance(engine, FusingEngine)

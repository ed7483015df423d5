"""A convolution onto a shortcut, for residual blocks with gradients: no separate sum, no separate 1 x 1 convolution.

Engines that can do it offer `convolve_onto`; `is_residual` asks for it.
"""

from __future__ import annotations

from typing import Protocol, TypeGuard

from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.engines.base import Engine, offers
from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["ResidualEngine", "is_residual"]


class ResidualEngine(Engine, Protocol):
    """An engine that adds a shortcut to a convolution in the same pass."""

    def convolve_onto(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
        shortcut: Float[Tensor, "num_out C_short"],
        shortcut_weight: Float[Tensor, "C_short C_out"] | None,
    ) -> Float[Tensor, "num_out C_out"]:
        """convolve(feats, weight, kernel_map) + shortcut @ shortcut_weight; without that weight, + shortcut.

        All tensors have one format. Differentiable once in features, weights and shortcut.
        Source: residual blocks, He et al., arXiv:1603.05027.
        """


def is_residual(engine: Engine) -> TypeGuard[ResidualEngine]:
    """Whether the engine offers `convolve_onto`."""
    return offers(engine, "convolve_onto")

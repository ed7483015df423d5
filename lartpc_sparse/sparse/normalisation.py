"""Batch normalisation and activation in one pass each way, for training.

Engines that can do it offer `batch_norm`; `is_normalising` asks for it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeGuard

from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.engines.base import Engine, offers

__all__ = ["Normalised", "NormalisingEngine", "is_normalising"]


class Normalised(NamedTuple):
    """Result of `NormalisingEngine.batch_norm`.

    Attributes:
        feats: normalised and activated.
        mean, variance: of each channel over the voxels, the variance biased; without gradient.
        passed: the features as they came, for a path around: their gradient is added to that of the normalisation in
            the same pass.
    """

    feats: Float[Tensor, "N C"]
    mean: Float[Tensor, " C"]
    variance: Float[Tensor, " C"]
    passed: Float[Tensor, "N C"]


class NormalisingEngine(Engine, Protocol):
    """An engine with a batch normalisation of its own."""

    def batch_norm(
        self,
        feats: Float[Tensor, "N C"],
        weight: Float[Tensor, " C"],
        bias: Float[Tensor, " C"],
        eps: float,
        slope: float,
    ) -> Normalised:
        """Leaky ReLU (slope 0: ReLU, 1: none) of weight * (feats - mean) / sqrt(variance + eps) + bias.

        `passed` of the result is `feats` again, for what goes around the norm; it must not be changed in place.
        Statistics are those of `feats`; differentiable in feats, weight and bias. N > 1, float32 or float64, all in one
        format, or bfloat16 features beside a float32 weight and bias, as autocast has them; mean and variance in that
        of the weight.
        Source: Ioffe and Szegedy, arXiv:1502.03167.
        """


def is_normalising(engine: Engine) -> TypeGuard[NormalisingEngine]:
    """Whether the engine offers `batch_norm`."""
    return offers(engine, "batch_norm")

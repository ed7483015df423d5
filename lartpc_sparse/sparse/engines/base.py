"""SEAM 1: what a sparse engine must offer.

An engine builds the maps of a batch and applies a map to features with a weight. It is a value that rides on
a plan, so that several engines can meet in one process. Everything else (norms, activations, skips) is torch
on the features.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.level import Level

__all__ = ["Engine", "offers"]


@runtime_checkable
class Engine(Protocol):
    """A sparse convolution engine; implementations pass `tests/sparse/engine_contract.py`."""

    @property
    def name(self) -> str:
        """How a chain names it."""

    def duplicates(self, level: Level) -> tuple[int, int]:
        """Number of voxels that repeat another one, and the row of the first that is repeated (-1 for none).

        Raises:
            ValueError: a coordinate that a packed key cannot hold.
        """

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """The level of all voxels floor(coords / step), each once, sorted by event and coordinate."""

    def submanifold_map(self, level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
        """Map of a submanifold convolution on `level`; odd kernels only."""

    def strided_map(self, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """Map from `fine` to `coarse` = coarsen(fine, step)."""

    def convolve(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "num_out C_out"]:
        """out[q] = sum over pairs (p, q, k) of feats[p] @ weight[k]; differentiable in feats and weight."""


def offers(engine: Engine, method: str) -> bool:
    """Whether the engine has a method that not every engine has.

    Every layer asks: isinstance with a runtime protocol takes 15 us.
    """
    return callable(getattr(engine, method, None))

"""A sparse tensor: features on the voxels of a plan."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from jaxtyping import Float, Int32, Int64
from torch import Tensor

from lartpc_sparse.sparse.engines.base import Engine
from lartpc_sparse.sparse.level import Level
from lartpc_sparse.sparse.plan import Plan

__all__ = ["SparseTensor"]


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features of the voxels at one level of a plan.

    Attributes:
        feats: one row a voxel, C features.
        plan: the voxels and kernel maps of the batch.
        stride: cumulative stride of the level the features live on.

    Raises:
        ValueError: as many rows as the level has voxels are needed.
    """

    feats: Float[Tensor, "N C"]
    plan: Plan
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        expected = len(self.level)
        if self.feats.ndim != 2 or len(self.feats) != expected:
            raise ValueError(
                f"feats have shape {tuple(self.feats.shape)}, the level of stride {self.stride} has {expected} voxels"
            )

    @classmethod
    def build(
        cls,
        coords: Int32[Tensor, "N D"],
        feats: Float[Tensor, "N C"],
        offsets: Int64[Tensor, " B1"],
        engine: Engine | None = None,
    ) -> SparseTensor:
        """A tensor at full resolution with a plan of its own; see `Plan.build`."""
        return cls(feats, Plan.build(coords, offsets, engine), (1,) * coords.shape[1])

    @property
    def level(self) -> Level:
        """Voxels that carry the features."""
        return self.plan.level(self.stride)

    @property
    def coords(self) -> Int32[Tensor, "N D"]:
        """Voxel index in units of the stride."""
        return self.level.coords

    @property
    def offsets(self) -> Int64[Tensor, " B1"]:
        """Rows of event b are `offsets[b]:offsets[b+1]`."""
        return self.level.offsets

    @property
    def dim(self) -> int:
        """Number of axes D."""
        return len(self.stride)

    def __len__(self) -> int:
        return len(self.feats)

    def replace(self, feats: Float[Tensor, "N C2"]) -> SparseTensor:
        """Other features on the same voxels."""
        return dataclasses.replace(self, feats=feats)

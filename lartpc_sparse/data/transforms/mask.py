"""Hide random blocks of a grid: the network must do with an incomplete picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field, PositiveInt

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, per_axis, require_unmasked

__all__ = ["Mask", "MaskConfig", "block_of_voxel", "uniform_of"]


class MaskConfig(TransformConfig):
    """The image is cut into blocks by a grid at a random place; the voxels of some blocks vanish.

    Different from `random_voxel_loss` (single voxels), `dead_regions` (the same places in every event, or a given
    number of slabs) and `mask_boxes` (leaves candidates to be filled in).
    """

    kind: Literal["mask"] = "mask"
    block: PositiveInt | tuple[PositiveInt, ...] = Field(
        default=16, description="edge of a block in voxels, one number or one for each axis; 1: single voxels"
    )
    probability: float = Field(default=0.2, ge=0, le=1, description="for each block, independently")

    def build(self) -> Mask:
        """The transform."""
        return Mask(block=self.block, probability=self.probability)


@dataclass(frozen=True)
class Mask:
    """Drop the voxels of random blocks.

    Attributes:
        block: voxels along each axis of a block.
        probability: that a block is dropped.
    """

    block: int | tuple[int, ...] = 16
    probability: float = 0.2

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event without the voxels of the dropped blocks.

        Raises:
            UserError: `block` does not fit the number of axes, or the event is masked by `mask_boxes`.
        """
        require_unmasked(event, "mask")
        block = np.array(per_axis(self.block, event.dim, "mask.block"), dtype=np.int64)
        cell = block_of_voxel(event, block, rng.integers(0, block))
        return event.select(uniform_of(cell, rng) >= self.probability)


def block_of_voxel(
    event: Event, block: Int64[np.ndarray, " D"], start: Int64[np.ndarray, " D"]
) -> Int64[np.ndarray, " N"]:
    """Number of the block that holds each voxel; the grid is moved back by `start` voxels, 0 <= start < block."""
    cells = (np.array(event.image_size, dtype=np.int64) - 1 + start) // block + 1
    number = np.zeros(len(event), dtype=np.int64)
    for axis in range(event.dim):
        number = number * cells[axis] + (event.coords[:, axis] + start[axis]) // block[axis]
    return number


def uniform_of(numbers: Int64[np.ndarray, " N"], rng: np.random.Generator) -> Float64[np.ndarray, " N"]:
    """A random number in [0, 1) for each different entry, equal entries get the same.

    The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) of the entry, at a random place of its sequence:
    no sorting and no table over all blocks of the image.
    """
    z = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + rng.integers(0, 2**64, dtype=np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform: Float64[np.ndarray, " N"] = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    return uniform

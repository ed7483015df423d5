"""Hide random blocks of a grid: the network must do with an incomplete picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field, PositiveInt

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, per_axis, require_unmasked

__all__ = ["Mask", "MaskConfig", "block_of_voxel"]


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
        number = block_of_voxel(event, block, rng.integers(0, block))
        lost = rng.random(int(number.max(initial=-1)) + 1) < self.probability
        return event.select(~lost[number])


def block_of_voxel(
    event: Event, block: Int64[np.ndarray, " D"], start: Int64[np.ndarray, " D"]
) -> Int64[np.ndarray, " N"]:
    """Number, from 0, of the occupied block that holds each voxel; the grid is shifted back by `start` voxels."""
    place = (event.coords + start) // block
    cells = (np.array(event.image_size, dtype=np.int64) - 1 + block) // block + 1
    flat = np.zeros(len(event), dtype=np.int64)
    for axis in range(event.dim):
        flat = flat * cells[axis] + place[:, axis]
    result: Int64[np.ndarray, " N"] = np.unique(flat, return_inverse=True)[1].astype(np.int64)
    return result

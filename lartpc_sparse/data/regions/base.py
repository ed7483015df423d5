"""What a kind of region is: boxes of voxels, drawn for an event or the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import AfterValidator, NonNegativeInt, PositiveInt

from lartpc_sparse.schema import PartConfig, UserError

__all__ = ["Limits", "Range", "RegionConfig", "Widths", "box_of_voxel", "fixed_boxes"]


def _ordered(pair: tuple[int, int]) -> tuple[int, int]:
    if pair[0] > pair[1]:
        raise ValueError(f"{list(pair)}: the first must not be above the last")
    return pair


Range = Annotated[tuple[NonNegativeInt, NonNegativeInt], AfterValidator(_ordered)]
Widths = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_ordered)]
Limits = tuple[Range | None, ...]
"""First and last voxel along each axis, both missing; None: the whole axis."""


class RegionConfig(PartConfig, ABC):
    """Base of the regions: each gives boxes, axis-parallel and in whole voxels."""

    @abstractmethod
    def boxes(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> Int64[np.ndarray, "R 2 D"]:
        """First position inside and first beyond of each box, along each axis; all inside the image.

        Args:
            coords: active voxels; regions that are placed where something is need them.
            image_size: voxels along each axis.
            rng: source of all randomness; what is fixed does not use it.

        Raises:
            UserError: the region does not fit the number of axes, or lies outside the image.
        """


def fixed_boxes(regions: tuple[Limits, ...], image_size: tuple[int, ...], name: str) -> Int64[np.ndarray, "R 2 D"]:
    """Boxes written down in a configuration.

    Args:
        regions: for each the first and last voxel along each axis, None for the whole axis.
        image_size: voxels along each axis.
        name: of the option, for the message.

    Raises:
        UserError: another number of axes, or beyond the image.
    """
    boxes = np.empty((len(regions), 2, len(image_size)), dtype=np.int64)
    for number, region in enumerate(regions):
        if len(region) != len(image_size):
            raise UserError(
                f"{name}[{number}] has {len(region)} axes, the images have {len(image_size)}; "
                "give [first, last] or null for each axis"
            )
        for axis, (limits, size) in enumerate(zip(region, image_size, strict=True)):
            first, last = (0, size - 1) if limits is None else limits
            if last >= size:
                raise UserError(f"{name}[{number}] ends at voxel {last}, but axis {axis} has {size} voxels; correct it")
            boxes[number, :, axis] = first, last + 1
    return boxes


def box_of_voxel(coords: Int32[np.ndarray, "N D"], boxes: Int64[np.ndarray, "R 2 D"]) -> Int64[np.ndarray, " N"]:
    """Number of the first box that holds each voxel, -1 outside all; boxes may overlap."""
    found = np.full(len(coords), -1, dtype=np.int64)
    columns = np.ascontiguousarray(coords.T)
    for number in range(len(boxes) - 1, -1, -1):
        low, high = boxes[number]
        inside = np.ones(len(coords), dtype=np.bool_)
        for axis, column in enumerate(columns):
            inside &= (column >= low[axis]) & (column < high[axis])
        found[inside] = number
    return found

"""Slabs: missing layers through the whole image."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lartpc_sparse.data.regions.base import Range, RegionConfig, Widths
from lartpc_sparse.schema import Config, UserError

__all__ = ["FixedSlabConfig", "SlabsConfig"]


class FixedSlabConfig(Config):
    """One slab at a fixed place."""

    axis: NonNegativeInt = Field(description="axis that it is limited along, from 0")
    first: NonNegativeInt = Field(description="first missing layer, voxels")
    width: PositiveInt = Field(description="number of missing layers, voxels")


class SlabsConfig(RegionConfig):
    """Layers of voxels across the whole image, in 2D bands of wires or ticks: drawn for each event, or fixed."""

    kind: Literal["slabs"] = "slabs"
    axes: tuple[NonNegativeInt, ...] | None = Field(
        None, description="axes that a slab may be limited along, one is drawn for each slab; null: any"
    )
    width: Widths = Field((10, 10), description="[least, most] layers of a drawn slab, voxels")
    count: Range = Field((1, 1), description="[least, most] slabs an event; not used with `fixed`")
    place: Literal["on_voxel", "anywhere"] = Field(
        "on_voxel", description="on_voxel: a drawn slab holds a random active voxel; anywhere: uniform in the image"
    )
    fixed: tuple[FixedSlabConfig, ...] = Field((), description="slabs of every event, instead of drawn ones")

    @model_validator(mode="after")
    def _something(self) -> SlabsConfig:
        if not self.fixed and self.count[1] == 0:
            raise ValueError("count [0, 0] and no fixed slabs: nothing is ever missing")
        return self

    def boxes(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> Int64[np.ndarray, "R 2 D"]:
        """See `RegionConfig.boxes`; an axis shorter than the width is missing as a whole."""
        slabs = [(slab.axis, slab.first, slab.width) for slab in self.fixed]
        for axis, first, width in slabs:
            _check_axis(axis, image_size)
            if first + width > image_size[axis]:
                raise UserError(f"slabs.fixed ends at voxel {first + width - 1}, axis {axis} has {image_size[axis]}")
        if not slabs:
            slabs = self._drawn(coords, image_size, rng)
        boxes = np.zeros((len(slabs), 2, len(image_size)), dtype=np.int64)
        boxes[:, 1] = image_size
        for box, (axis, first, width) in zip(boxes, slabs, strict=True):
            box[:, axis] = first, first + width
        return boxes

    def _drawn(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> list[tuple[int, int, int]]:
        axes = tuple(range(len(image_size))) if self.axes is None else self.axes
        for axis in axes:
            _check_axis(axis, image_size)
        if len(coords) == 0 and self.place == "on_voxel":
            return []
        found = []
        for _ in range(int(rng.integers(*self.count, endpoint=True))):
            axis = axes[int(rng.integers(len(axes)))]
            width = min(int(rng.integers(*self.width, endpoint=True)), image_size[axis])
            if self.place == "anywhere":
                first = int(rng.integers(0, image_size[axis] - width, endpoint=True))
            else:
                first = int(coords[rng.integers(len(coords)), axis]) - int(rng.integers(width))
                first = min(max(first, 0), image_size[axis] - width)
            found.append((axis, first, width))
        return found


def _check_axis(axis: int, image_size: tuple[int, ...]) -> None:
    if axis >= len(image_size):
        raise UserError(f"slabs names axis {axis}, the images have axes 0 to {len(image_size) - 1}")

"""Boxes around random active voxels, or at fixed places."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import Field, PositiveInt, model_validator

from lartpc_sparse.data.regions.base import Limits, Range, RegionConfig, fixed_boxes
from lartpc_sparse.schema import UserError

__all__ = ["BoxesConfig"]


class BoxesConfig(RegionConfig):
    """Boxes limited along all axes: around active voxels drawn for each event, or the same for all events."""

    kind: Literal["boxes"] = "boxes"
    size: PositiveInt | tuple[PositiveInt, ...] = Field(12, description="edges in voxels, one number or one an axis")
    count: Range = Field((2, 2), description="[least, most] boxes an event; not used with `fixed`")
    fixed: tuple[Limits, ...] = Field(
        (), description="boxes of every event: [first, last] missing voxel for each axis, or null for the whole axis"
    )

    @model_validator(mode="after")
    def _something(self) -> BoxesConfig:
        if not self.fixed and self.count[1] == 0:
            raise ValueError("count [0, 0] and no fixed boxes: nothing is ever missing")
        return self

    def boxes(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> Int64[np.ndarray, "R 2 D"]:
        """See `RegionConfig.boxes`. A drawn box is moved by up to a quarter of its size and cut at the image's edge."""
        if self.fixed:
            return fixed_boxes(self.fixed, image_size, "boxes.fixed")
        dim = len(image_size)
        size = (self.size,) * dim if isinstance(self.size, int) else self.size
        if len(size) != dim:
            raise UserError(f"boxes.size has {len(size)} numbers {list(size)}, the images have {dim} axes")
        extent = np.array(size, dtype=np.int64)
        count = int(rng.integers(*self.count, endpoint=True)) if len(coords) else 0
        boxes = np.empty((count, 2, dim), dtype=np.int64)
        for box in boxes:
            centre = coords[rng.integers(len(coords))] + rng.integers(-(extent // 4), extent // 4, endpoint=True)
            low = centre - extent // 2
            box[:] = np.clip([low, low + extent], 0, image_size)
        return boxes

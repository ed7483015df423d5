"""Dead channels (wires of a plane, pixels of an anode) and dead readout chips."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lartpc_sparse.data.regions.base import Range, RegionConfig, Widths
from lartpc_sparse.schema import UserError

__all__ = ["ChipsConfig", "DeadChannelsConfig"]


class DeadChannelsConfig(RegionConfig):
    """Groups of neighbouring channels that are dead for all drift times.

    In 2D a channel is a wire: a group is a band of columns. In 3D it is a pixel of the anode: a group is a square
    column of voxels along the drift.
    """

    kind: Literal["dead_channels"] = "dead_channels"
    drift_axis: NonNegativeInt = Field(1, description="axis along which a channel records, from 0; in 3D often 0")
    count: Range = Field((1, 4), description="[least, most] dead groups an event; not used with `fixed`")
    width: Widths = Field((1, 4), description="[least, most] channels of a group along each channel axis, voxels")
    fixed: tuple[tuple[Range, ...], ...] = Field(
        (), description="groups of every event: [first, last] dead channel along each axis but the drift's"
    )

    def boxes(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> Int64[np.ndarray, "R 2 D"]:
        """See `RegionConfig.boxes`; a drawn group holds the channel of a random active voxel."""
        axes = _channel_axes(self.drift_axis, image_size, self.kind)
        groups: list[list[tuple[int, int]]] = []
        for limits in self.fixed:
            if len(limits) != len(axes):
                raise UserError(f"dead_channels.fixed has {len(limits)} channel axes, the images have {len(axes)}")
            groups.append([(first, last + 1) for first, last in limits])
        if not groups and len(coords):
            for _ in range(int(rng.integers(*self.count, endpoint=True))):
                voxel = coords[rng.integers(len(coords))]
                limits_drawn = []
                for axis in axes:
                    width = min(int(rng.integers(*self.width, endpoint=True)), image_size[axis])
                    first = int(voxel[axis]) - int(rng.integers(width))
                    first = min(max(first, 0), image_size[axis] - width)
                    limits_drawn.append((first, first + width))
                groups.append(limits_drawn)
        return _along_drift(groups, axes, image_size, self.kind)


class ChipsConfig(RegionConfig):
    """Dead readout chips: squares of a grid of channels, dead for all drift times (3D); bands of wires in 2D."""

    kind: Literal["chips"] = "chips"
    drift_axis: NonNegativeInt = Field(0, description="axis along which a channel records, from 0")
    size: PositiveInt = Field(8, description="channels of a chip along each channel axis, voxels")
    origin: NonNegativeInt = Field(0, description="voxel where the grid of chips begins, along each channel axis")
    count: Range = Field((1, 4), description="[least, most] dead chips an event; not used with `fixed`")
    fixed: tuple[tuple[NonNegativeInt, ...], ...] = Field(
        (), description="dead chips of every event: number of the chip along each channel axis, from 0 at `origin`"
    )

    @model_validator(mode="after")
    def _origin_in_first_chip(self) -> ChipsConfig:
        if self.origin >= self.size:
            raise ValueError(f"origin {self.origin} must be below the size of a chip, {self.size}")
        return self

    def boxes(
        self, coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...], rng: np.random.Generator
    ) -> Int64[np.ndarray, "R 2 D"]:
        """See `RegionConfig.boxes`; drawn chips are those of random active voxels, no chip twice."""
        axes = _channel_axes(self.drift_axis, image_size, self.kind)
        if any(len(chip) != len(axes) for chip in self.fixed):
            raise UserError(f"chips.fixed needs {len(axes)} numbers for each chip, one a channel axis")
        chips = {tuple(chip) for chip in self.fixed}
        if not self.fixed and len(coords):
            drawn = coords[rng.integers(len(coords), size=int(rng.integers(*self.count, endpoint=True)))]
            cells = (drawn[:, list(axes)].astype(np.int64) - self.origin) // self.size
            chips = {tuple(int(number) for number in cell) for cell in cells}
        groups = [
            [
                (
                    max(self.origin + number * self.size, 0),
                    min(self.origin + (number + 1) * self.size, image_size[axis]),
                )
                for number, axis in zip(chip, axes, strict=True)
            ]
            for chip in sorted(chips)
        ]
        return _along_drift(groups, axes, image_size, self.kind)


def _channel_axes(drift_axis: int, image_size: tuple[int, ...], kind: str) -> tuple[int, ...]:
    if drift_axis >= len(image_size):
        raise UserError(f"{kind}.drift_axis is {drift_axis}, the images have axes 0 to {len(image_size) - 1}")
    return tuple(axis for axis in range(len(image_size)) if axis != drift_axis)


def _along_drift(
    groups: list[list[tuple[int, int]]], axes: tuple[int, ...], image_size: tuple[int, ...], kind: str
) -> Int64[np.ndarray, "R 2 D"]:
    boxes = np.zeros((len(groups), 2, len(image_size)), dtype=np.int64)
    boxes[:, 1] = image_size
    for box, limits in zip(boxes, groups, strict=True):
        for axis, (first, beyond) in zip(axes, limits, strict=True):
            if not first < beyond <= image_size[axis]:
                raise UserError(
                    f"{kind}: channels {first} to {beyond - 1} are not in axis {axis} of {image_size[axis]}"
                )
            box[:, axis] = first, beyond
    return boxes

"""Regions of the detector that give no signal: dead wires, slabs, boxes; fixed or at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field, model_validator

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.regions.base import Limits, Range, Widths, box_of_voxel, fixed_boxes
from lartpc_sparse.data.transforms.base import TransformConfig, require_unmasked
from lartpc_sparse.data.transforms.geometry import Axes, chosen_axes
from lartpc_sparse.schema import Config

__all__ = ["DeadRegions", "DeadRegionsConfig", "RandomRegionsConfig"]


class RandomRegionsConfig(Config):
    """Regions drawn for each event: limited along some axes, the whole image along the others."""

    axes: Axes | None = Field(
        default=None,
        description="axes along which a region is limited: one axis is a slab (or a group of wires), all are a box; "
        "none: all",
    )
    count: Range = Field(default=(1, 1), description="[least, most] number of regions an event")
    width: Widths = Field(description="[least, most] voxels along a limited axis, drawn for each axis")


class DeadRegionsConfig(TransformConfig):
    """Voxels inside the regions vanish; `Event.num_lost` counts them."""

    kind: Literal["dead_regions"] = "dead_regions"
    fixed: tuple[Limits, ...] = Field(
        default=(),
        description="regions of every event: for each axis [first, last] voxel, both dead, or null for the whole "
        "axis; [[100, 103], null] is four dead wires of a plane",
    )
    random: tuple[RandomRegionsConfig, ...] = Field(default=(), description="regions drawn for each event")

    @model_validator(mode="after")
    def _something_is_dead(self) -> DeadRegionsConfig:
        if not self.fixed and not self.random:
            raise ValueError("give fixed or random regions; with neither nothing is dead")
        for region in self.fixed:
            if all(limits is None for limits in region):
                raise ValueError("a fixed region is not limited along any axis; the whole image would be dead")
        return self

    def build(self) -> DeadRegions:
        """The transform."""
        return DeadRegions(fixed=self.fixed, random=self.random)


@dataclass(frozen=True)
class DeadRegions:
    """Drop the voxels inside the regions.

    A random region is placed uniformly among the places where it lies inside the image; an axis shorter than the
    width is dead as a whole. Regions may overlap. Regions are places in the image as the transform finds it, so
    fixed ones belong before flips and rotations.

    Attributes:
        fixed: for each region and axis the first and last dead voxel, None for the whole axis.
        random: what to draw for each event.
    """

    fixed: tuple[tuple[tuple[int, int] | None, ...], ...] = ()
    random: tuple[RandomRegionsConfig, ...] = ()

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event without the voxels in dead regions.

        Raises:
            UserError: a region with another number of axes, beyond the image, or along an axis that it does not
                have; or the event is masked.
        """
        require_unmasked(event, "dead_regions")
        boxes = self.regions(event.image_size, rng)
        boxes[:, 1] += 1
        return event.select(box_of_voxel(event.coords, boxes) < 0)

    def regions(self, image_size: tuple[int, ...], rng: np.random.Generator) -> Int64[np.ndarray, "R 2 D"]:
        """First and last voxel of each region along each axis, the fixed ones first.

        Raises:
            UserError: as for a call.
        """
        size = np.array(image_size, dtype=np.int64)
        fixed = fixed_boxes(self.fixed, image_size, "dead_regions.fixed")
        fixed[:, 1] -= 1
        regions = list(fixed)
        for group in self.random:
            axes = list(chosen_axes(group.axes, len(image_size), "dead_regions.random"))
            for _ in range(int(rng.integers(*group.count, endpoint=True))):
                width = np.minimum(rng.integers(*group.width, size=len(axes), endpoint=True), size[axes])
                region = np.stack([np.zeros_like(size), size - 1])
                region[0, axes] = rng.integers(0, size[axes] - width, endpoint=True)
                region[1, axes] = region[0, axes] + width - 1
                regions.append(region)
        return np.array(regions, dtype=np.int64).reshape(len(regions), 2, len(size))

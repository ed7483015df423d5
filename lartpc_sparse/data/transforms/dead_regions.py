"""Regions of the detector that give no signal: dead wires, slabs, boxes; fixed or at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, model_validator

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, require_unmasked
from lartpc_sparse.data.transforms.geometry import Axes, chosen_axes
from lartpc_sparse.schema import Config, UserError

__all__ = ["DeadRegions", "DeadRegionsConfig", "RandomRegionsConfig"]


def _ordered(pair: tuple[int, int]) -> tuple[int, int]:
    if pair[0] > pair[1]:
        raise ValueError(f"{list(pair)}: the first must not be above the last")
    return pair


Range = Annotated[tuple[NonNegativeInt, NonNegativeInt], AfterValidator(_ordered)]
Widths = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_ordered)]


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
    fixed: tuple[tuple[Range | None, ...], ...] = Field(
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
        dead = np.zeros(len(event), dtype=np.bool_)
        columns = np.ascontiguousarray(event.coords.T)
        for low, high in self.regions(event.image_size, rng):
            inside = np.ones(len(event), dtype=np.bool_)
            for axis, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
                if first > 0 or last < event.image_size[axis] - 1:
                    inside &= (columns[axis] >= first) & (columns[axis] <= last)
            dead |= inside
        return event.select(~dead)

    def regions(self, image_size: tuple[int, ...], rng: np.random.Generator) -> Int64[np.ndarray, "R 2 D"]:
        """First and last voxel of each region along each axis, the fixed ones first.

        Raises:
            UserError: as for a call.
        """
        size = np.array(image_size, dtype=np.int64)
        regions = [self._fixed_region(region, image_size) for region in self.fixed]
        for group in self.random:
            axes = list(chosen_axes(group.axes, len(image_size), "dead_regions.random"))
            for _ in range(int(rng.integers(*group.count, endpoint=True))):
                width = np.minimum(rng.integers(*group.width, size=len(axes), endpoint=True), size[axes])
                region = np.stack([np.zeros_like(size), size - 1])
                region[0, axes] = rng.integers(0, size[axes] - width, endpoint=True)
                region[1, axes] = region[0, axes] + width - 1
                regions.append(region)
        return np.array(regions, dtype=np.int64).reshape(len(regions), 2, len(size))

    def _fixed_region(
        self, region: tuple[tuple[int, int] | None, ...], image_size: tuple[int, ...]
    ) -> Int64[np.ndarray, "2 D"]:
        if len(region) != len(image_size):
            raise UserError(
                f"a region of dead_regions.fixed has {len(region)} axes {list(region)}, the images have "
                f"{len(image_size)}; give [first, last] or null for each axis"
            )
        limits = [(0, size - 1) if found is None else found for found, size in zip(region, image_size, strict=True)]
        for (first, last), size in zip(limits, image_size, strict=True):
            if last >= size:
                raise UserError(
                    f"a region of dead_regions.fixed ends at voxel {last}, but that axis has {size} voxels "
                    f"(first {first}); correct the region, or put it before crop"
                )
        return np.array(limits, dtype=np.int64).T

"""Keep the voxels inside one box of fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field, PositiveInt

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.transforms.base import TransformConfig, per_axis, require_finite_energy

__all__ = ["Crop", "CropConfig"]

Center = Literal["charge", "instance", "random", "middle"]


class CropConfig(TransformConfig):
    """Keep one box of the image, where it is or as an image of its own."""

    kind: Literal["crop"] = "crop"
    size: PositiveInt | tuple[PositiveInt, ...] = Field(
        description="box size in voxels, one number or one for each axis; an axis shorter than this is kept whole"
    )
    center: Center = Field(
        default="charge",
        description="charge: around a random voxel, drawn by its energy; instance: so that it holds a random "
        "voxel of one of the instances, all alike; random: anywhere in the image; middle: the middle of the image",
    )
    shift_to_origin: bool = Field(
        default=False,
        description="true: the box becomes the image, its first corner the origin; false: voxels and image size stay",
    )

    def build(self) -> Crop:
        """The transform."""
        return Crop(size=self.size, center=self.center, shift_to_origin=self.shift_to_origin)


@dataclass(frozen=True)
class Crop:
    """Keep the voxels of a box that always lies inside the image.

    Attributes:
        size: voxels along each axis.
        center: `charge` puts the box around a voxel drawn with probability proportional to its energy
            (negative ones count as 0; all alike when none is positive), moved inwards at the border;
            `instance` draws an instance (label `instance`, from 0 on), one of its voxels, and the place of this voxel
            in the box, and is `random` where there is no instance;
            `random` draws the position of the box uniformly; `middle` is fixed.
        shift_to_origin: the first corner of the box becomes voxel 0 and `image_size` the size of the box, for empty
            events too, so that all images of a batch are alike.
    """

    size: int | tuple[int, ...]
    center: Center = "charge"
    shift_to_origin: bool = False

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The voxels inside the box.

        Raises:
            UserError: `size` does not fit the number of axes.
            BadEventError: `center` is charge and an energy is NaN or infinite.
        """
        size = np.array(per_axis(self.size, event.dim, "crop.size"), dtype=np.int64)
        # An empty event has nothing to be drawn around: its box lies at the origin.
        low = self._first_position(event, size, rng) if len(event) else np.zeros(event.dim, dtype=np.int64)
        inside = np.ones(len(event), dtype=np.bool_)
        for column, first, side in zip(event.coords.T, low.tolist(), size.tolist(), strict=True):
            inside &= (column >= first) & (column < first + side)
        kept = event if inside.all() else event.select(np.flatnonzero(inside))
        if not self.shift_to_origin:
            return kept
        box = np.minimum(size, np.array(event.image_size, dtype=np.int64))
        return kept.moved(Frame.step(event.dim, shift=tuple((-low).tolist())), tuple(box.tolist()))

    def _first_position(
        self, event: Event, size: Int64[np.ndarray, " D"], rng: np.random.Generator
    ) -> Int64[np.ndarray, " D"]:
        room = np.maximum(np.array(event.image_size, dtype=np.int64) - size, 0)
        first: Int64[np.ndarray, " D"]
        if self.center == "middle":
            first = room // 2
        elif self.center == "random":
            first = rng.integers(0, room, endpoint=True)
        elif self.center == "instance":
            first = _around_instance(event, size, room, rng)
        else:
            require_finite_energy(event)
            weight = np.maximum(event.energy.astype(np.float64), 0)
            total = weight.sum()
            row = rng.choice(len(event), p=weight / total if total > 0 else None)
            first = np.clip(event.coords[row] - size // 2, 0, room)
        return first


def _around_instance(
    event: Event, size: Int64[np.ndarray, " D"], room: Int64[np.ndarray, " D"], rng: np.random.Generator
) -> Int64[np.ndarray, " D"]:
    """First corner of a box around a voxel of a random instance, anywhere where there is none."""
    anywhere: Int64[np.ndarray, " D"] = rng.integers(0, room, endpoint=True)
    place = rng.integers(0, size)
    instance = event.labels.get("instance")
    rows = np.zeros(0, dtype=np.int64) if instance is None else np.flatnonzero(instance >= 0)
    if instance is None or not len(rows):
        return anywhere
    chosen = rng.choice(np.unique(instance[rows]))
    row = rng.choice(rows[instance[rows] == chosen])
    first: Int64[np.ndarray, " D"] = np.clip(event.coords[row] - place, 0, room)
    return first

"""Random rotations by multiples of 90 degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig
from lartpc_sparse.data.transforms.geometry import Axes, equal_axes, mirrored
from lartpc_sparse.schema import UserError

__all__ = ["Rotate90", "Rotate90Config"]


class Rotate90Config(TransformConfig):
    """One of the rotations of the square (4) or of the cube (24) at random; never a mirror image."""

    kind: Literal["rotate90"] = "rotate90"
    axes: Axes | None = Field(
        default=None,
        description="axes that are turned into one another, from 0, with equally many voxels; none: all; "
        "two axes of a 3D image: the four rotations about the third",
    )

    @field_validator("axes")
    @classmethod
    def _at_least_two(cls, axes: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if axes is not None and len(axes) < 2:
            raise ValueError("a rotation needs two axes at least")
        return axes

    def build(self) -> Rotate90:
        """The transform."""
        return Rotate90(axes=self.axes)


@dataclass(frozen=True)
class Rotate90:
    """Every proper rotation of the image onto itself, the identity included, with equal probability.

    A rotation is a permutation of the axes with signs whose determinant is +1: of the permutations and all signs but
    the last one each is equally likely, the last sign makes the determinant positive.

    Attributes:
        axes: that take part, None for all.
    """

    axes: tuple[int, ...] | None = None

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The rotated event.

        Raises:
            UserError: the image is not equally long along the axes, does not have one of them, or has only one.
        """
        axes = equal_axes(self.axes, event.image_size, "rotate90")
        if len(axes) < 2:
            raise UserError(f"{event.key}: rotate90 needs two axes, the image has {event.dim}")
        order = rng.permutation(len(axes))
        signs = rng.choice(np.array([1, -1]), size=len(axes))
        signs[-1] = _parity(order.tolist()) * signs[:-1].prod()
        source, sign = list(range(event.dim)), [1] * event.dim
        for axis, place, turned in zip(axes, order.tolist(), signs.tolist(), strict=True):
            source[axis], sign[axis] = axes[place], turned
        return event.moved(mirrored(event.image_size, tuple(source), tuple(sign)))


def _parity(order: list[int]) -> int:
    """+1 for an even permutation, -1 for an odd one."""
    swapped = sum(order[i] > order[j] for i in range(len(order)) for j in range(i + 1, len(order)))
    return -1 if swapped % 2 else 1

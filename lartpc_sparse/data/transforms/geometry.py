"""Random symmetries of the image: mirror axes, exchange axes, shift.

`image_size` stays, and so do the positions and directions of the particle table; `Event.frame` has the motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.transforms.base import TransformConfig
from lartpc_sparse.schema import BadEventError, UserError

__all__ = [
    "Axes",
    "Flip",
    "FlipConfig",
    "PermuteAxes",
    "PermuteAxesConfig",
    "Translate",
    "TranslateConfig",
    "chosen_axes",
    "equal_axes",
    "mirrored",
]


def _different(axes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(axes)) != len(axes):
        raise ValueError("an axis is named twice")
    return axes


Axes = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), AfterValidator(_different)]


class FlipConfig(TransformConfig):
    """Mirror each of the axes with some probability."""

    kind: Literal["flip"] = "flip"
    axes: Axes | None = Field(default=None, description="axes that may be mirrored, from 0; none: all")
    probability: float = Field(default=0.5, ge=0, le=1, description="for each axis, independently")

    def build(self) -> Flip:
        """The transform."""
        return Flip(axes=self.axes, probability=self.probability)


@dataclass(frozen=True)
class Flip:
    """Mirror axes: x becomes S - 1 - x in an image of S voxels.

    Attributes:
        axes: that may be mirrored, None for all.
        probability: for each axis.
    """

    axes: tuple[int, ...] | None = None
    probability: float = 0.5

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The mirrored event.

        Raises:
            UserError: an axis that the image does not have.
        """
        axes = np.array(chosen_axes(self.axes, event.dim, "flip"), dtype=np.int64)
        chosen = set(axes[rng.random(len(axes)) < self.probability].tolist())
        signs = tuple(-1 if axis in chosen else 1 for axis in range(event.dim))
        return event.moved(mirrored(event.image_size, tuple(range(event.dim)), signs))


class PermuteAxesConfig(TransformConfig):
    """Exchange axes at random; they must have the same number of voxels."""

    kind: Literal["permute_axes"] = "permute_axes"
    axes: Axes | None = Field(default=None, description="axes that are exchanged, from 0; none: all")

    def build(self) -> PermuteAxes:
        """The transform."""
        return PermuteAxes(axes=self.axes)


@dataclass(frozen=True)
class PermuteAxes:
    """Put the axes in a random order, every order (also the given one) with equal probability.

    Attributes:
        axes: that take part, None for all.
    """

    axes: tuple[int, ...] | None = None

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with exchanged axes.

        Raises:
            UserError: the image is not equally long along the axes, or does not have one of them.
        """
        axes = equal_axes(self.axes, event.image_size, "permute_axes")
        source = np.arange(event.dim)
        source[list(axes)] = rng.permutation(np.array(axes, dtype=np.int64))
        return event.moved(Frame.step(event.dim, axes=tuple(source.tolist())))


class TranslateConfig(TransformConfig):
    """Shift the event inside the image."""

    kind: Literal["translate"] = "translate"
    max_shift: PositiveInt = Field(description="largest shift along an axis, voxels")

    def build(self) -> Translate:
        """The transform."""
        return Translate(max_shift=self.max_shift)


@dataclass(frozen=True)
class Translate:
    """Shift by a random number of voxels along each axis, uniform over the shifts that lose no voxel.

    Attributes:
        max_shift: largest shift either way, voxels.
    """

    max_shift: int

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The shifted event.

        Raises:
            BadEventError: a voxel lies outside the image.
        """
        if len(event) == 0:
            return event
        columns = np.ascontiguousarray(event.coords.T)  # much faster than along the first axis
        below, last = columns.min(axis=1), columns.max(axis=1)
        above = np.array(event.image_size, dtype=np.int64) - 1 - last
        if below.min() < 0 or above.min() < 0:
            raise BadEventError(
                f"{event.key}: coords span {below.tolist()} to {last.tolist()}, "
                f"outside the image of {event.image_size} voxels; correct image_size"
            )
        shift = rng.integers(-np.minimum(below, self.max_shift), np.minimum(above, self.max_shift), endpoint=True)
        return event.moved(Frame.step(event.dim, shift=tuple(shift.tolist())))


def mirrored(image_size: tuple[int, ...], axes: tuple[int, ...], signs: tuple[int, ...]) -> Frame:
    """Axes put in the order `axes`, those with sign -1 mirrored inside the image: x becomes S - 1 - x."""
    shift = tuple(image_size[axis] - 1 if sign < 0 else 0 for axis, sign in zip(axes, signs, strict=True))
    return Frame(axes, signs, shift)


def equal_axes(axes: tuple[int, ...] | None, image_size: tuple[int, ...], kind: str) -> tuple[int, ...]:
    """The axes that `kind` exchanges, all by default.

    Raises:
        UserError: the image is not equally long along them, or does not have one of them.
    """
    chosen = chosen_axes(axes, len(image_size), kind)
    sizes = [image_size[axis] for axis in chosen]
    if len(set(sizes)) > 1:
        raise UserError(
            f"{kind} exchanges axes {list(chosen)}, but the image has {sizes} voxels along them; "
            f"name axes of equal size in {kind}.axes"
        )
    return chosen


def chosen_axes(axes: tuple[int, ...] | None, dim: int, kind: str) -> tuple[int, ...]:
    """The axes named, all by default.

    Raises:
        UserError: an axis that the image does not have.
    """
    chosen = tuple(range(dim)) if axes is None else axes
    if max(chosen) >= dim:
        raise UserError(f"{kind}.axes is {list(chosen)}, but the images have axes 0..{dim - 1}")
    return chosen

"""Where the axes of an event lie in the image of its file: exchanged, mirrored and shifted by whole voxels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int32, Num

__all__ = ["Frame"]


@dataclass(frozen=True)
class Frame:
    """Maps voxels of the file to voxels here: here[a] = signs[a] * file[axes[a]] + shift[a].

    Flips, rotations by 90 degrees, exchanged axes, translations and crops moved to the origin are of this form, and
    so is one after the other.

    Attributes:
        axes: axis of the file behind each axis here, a permutation of 0..D-1.
        signs: +1, or -1 for a mirrored axis.
        shift: in voxels.

    Raises:
        ValueError: lengths differ, `axes` is no permutation, or a sign is neither 1 nor -1.
    """

    axes: tuple[int, ...]
    signs: tuple[int, ...]
    shift: tuple[int, ...]

    def __post_init__(self) -> None:
        fits = len(self.axes) == len(self.signs) == len(self.shift)
        if not fits or sorted(self.axes) != list(range(len(self.axes))) or not set(self.signs) <= {1, -1}:
            raise ValueError(f"not a frame: axes {self.axes}, signs {self.signs}, shift {self.shift}")

    @classmethod
    @cache  # every event that is read has it
    def identity(cls, dim: int) -> Frame:
        """The frame of the file itself."""
        return cls(tuple(range(dim)), (1,) * dim, (0,) * dim)

    @classmethod
    def step(
        cls,
        dim: int,
        *,
        axes: tuple[int, ...] | None = None,
        signs: tuple[int, ...] | None = None,
        shift: tuple[int, ...] | None = None,
    ) -> Frame:
        """A frame of which only some parts are given."""
        same = cls.identity(dim)
        return cls(axes or same.axes, signs or same.signs, shift or same.shift)

    @property
    def dim(self) -> int:
        """Number of axes D."""
        return len(self.axes)

    def voxels(self, coords: Int32[np.ndarray, "N D"]) -> Int32[np.ndarray, "N D"]:
        """Voxel indices here of voxel indices in the file."""
        moved: Int32[np.ndarray, "N D"] = self._linear(coords) + np.array(self.shift, dtype=np.int32)
        return moved

    def positions(self, points: Float[np.ndarray, "P D"]) -> Float[np.ndarray, "P D"]:
        """Positions here of positions in the file, in voxels; voxel i reaches from i to i + 1. NaN stays NaN."""
        half = points.dtype.type(0.5)
        moved: Float[np.ndarray, "P D"] = self._linear(points - half) + np.array(self.shift, points.dtype) + half
        return moved

    def directions(self, vectors: Float[np.ndarray, "P D"]) -> Float[np.ndarray, "P D"]:
        """Directions or momenta here of those in the file: exchanged and mirrored, not shifted."""
        return self._linear(vectors)

    def then(self, step: Frame) -> Frame:
        """This frame, and `step` after it.

        Raises:
            ValueError: another number of axes.
        """
        if step.dim != self.dim:
            raise ValueError(f"a step in {step.dim} axes cannot follow a frame with {self.dim}")
        return Frame(
            axes=tuple(self.axes[axis] for axis in step.axes),
            signs=tuple(sign * self.signs[axis] for sign, axis in zip(step.signs, step.axes, strict=True)),
            shift=tuple(
                sign * self.shift[axis] + shift
                for sign, axis, shift in zip(step.signs, step.axes, step.shift, strict=True)
            ),
        )

    def inverse(self) -> Frame:
        """From here back to the file."""
        axes = tuple(self.axes.index(axis) for axis in range(self.dim))
        signs = tuple(self.signs[axis] for axis in axes)
        return Frame(axes, signs, tuple(-sign * self.shift[axis] for sign, axis in zip(signs, axes, strict=True)))

    def _linear(self, rows: Num[np.ndarray, "N D"]) -> Num[np.ndarray, "N D"]:
        result: Num[np.ndarray, "N D"] = np.take(rows, self.axes, axis=1)
        if min(self.signs) < 0:
            result *= np.array(self.signs, dtype=rows.dtype)
        return result

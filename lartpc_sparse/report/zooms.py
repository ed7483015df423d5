"""Parts of a two-dimensional image that a display can show: all charge, where it is densest, the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Zoom", "densest_window", "zooms_of"]

WINDOW = 256
"""Edge of the densest part, pixels."""
_CELL = 16
"""Its place is found to this many pixels."""


@dataclass(frozen=True)
class Zoom:
    """A part of the image: its name, and first and last value of each axis."""

    title: str
    ranges: tuple[tuple[float, float], ...]


def zooms_of(
    coords: Int[np.ndarray, "N D"],
    energy: Float[np.ndarray, " N"],
    image_size: Sequence[int],
    charge: Sequence[Sequence[float]],
) -> tuple[Zoom, ...]:
    """The parts that differ from one another; none for an image of three axes or of unknown size.

    Args:
        coords: of one or more pixels.
        energy: intensity of each.
        image_size: pixels along each axis.
        charge: ranges around all pixels that have charge.
    """
    if coords.shape[1] != 2 or len(image_size) != 2:
        return ()
    found = [Zoom("all charge", tuple((float(low), float(high)) for low, high in charge))]
    extent = coords.max(axis=0) - coords.min(axis=0) + 1
    if (extent > 1.5 * WINDOW).any():
        corner = densest_window(coords, energy)
        found.append(Zoom("densest charge", tuple((low - 0.5, low + WINDOW - 0.5) for low in corner)))
    if (extent < np.array(image_size) * 0.95).any():
        found.append(Zoom("whole image", tuple((-0.5, size - 0.5) for size in image_size)))
    return tuple(found) if len(found) > 1 else ()


def densest_window(coords: Int[np.ndarray, "N 2"], energy: Float[np.ndarray, " N"]) -> tuple[float, float]:
    """First corner of the square of 256 x 256 pixels with the largest sum of intensities, to 16 pixels."""
    low = coords.min(axis=0)
    cell = (coords - low) // _CELL
    shape = cell.max(axis=0) + 1
    charge = np.bincount(np.ravel_multi_index(tuple(cell.T), tuple(shape)), energy, minlength=int(shape.prod()))
    sums = np.pad(charge.reshape(shape).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    width = np.minimum(WINDOW // _CELL, shape)
    inside = (
        sums[width[0] :, width[1] :]
        - sums[: -width[0], width[1] :]
        - sums[width[0] :, : -width[1]]
        + sums[: -width[0], : -width[1]]
    )
    best = np.unravel_index(int(inside.argmax()), inside.shape)
    # a window that is wider than the charge has the charge in its middle
    spare = np.maximum(WINDOW - shape * _CELL, 0) / 2
    first, second = (float(low[axis] + best[axis] * _CELL - spare[axis]) for axis in range(2))
    return first, second

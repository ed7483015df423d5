"""Voxels on and around lines."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from jaxtyping import Float64, Int32, Int64

__all__ = ["Points", "dilated", "sample_lines", "unique_inside", "voxels_of_line"]

Points = Float64[np.ndarray, "P D"]
STEP = 0.5
"""Distance of the points that stand for a line, voxels."""


def sample_lines(
    start: Float64[np.ndarray, "L D"], direction: Float64[np.ndarray, "L D"], length: Float64[np.ndarray, " L"]
) -> tuple[Float64[np.ndarray, "P D"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """Points every half voxel along each line; the line of each point, and how far along it lies (voxels)."""
    counts = np.floor(length / STEP).astype(np.int64) + 1
    line = np.repeat(np.arange(len(start)), counts)
    along = STEP * (np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts))
    return start[line] + along[:, None] * direction[line], line, along


def voxels_of_line(
    start: Float64[np.ndarray, " D"], end: Float64[np.ndarray, " D"]
) -> tuple[Int32[np.ndarray, "V D"], Float64[np.ndarray, " V"]]:
    """The voxels that a straight line goes through, in order, and its length in each (exact, as Amanatides & Woo).

    Args:
        start: in voxel indices; voxel i reaches from i - 1/2 to i + 1/2.
        end: likewise.
    """
    step = end - start
    length = float(np.linalg.norm(step))
    cuts = [np.array([0.0, 1.0])]
    for begin, change in zip(start, step, strict=True):
        if change == 0:
            continue
        low, high = sorted((begin, begin + change))
        planes = np.arange(np.ceil(low - 0.5), np.floor(high + 0.5)) + 0.5
        at = (planes - begin) / change
        cuts.append(at[(at > 0) & (at < 1)])
    t = np.unique(np.concatenate(cuts))
    middle = start + ((t[1:] + t[:-1]) / 2)[:, None] * step if len(t) > 1 else start[None]
    parts = np.diff(t) * length if len(t) > 1 else np.zeros(1)
    voxels = np.floor(middle + 0.5).astype(np.int32)
    new = np.concatenate([[True], (np.diff(voxels, axis=0) != 0).any(axis=1)])
    return voxels[new], np.add.reduceat(parts, np.flatnonzero(new))


def dilated(coords: Int32[np.ndarray, "N D"], radius: float) -> Int32[np.ndarray, "M D"]:
    """Every voxel within `radius` (Euclidean) of one of the given ones, with repeats."""
    offsets = _ball(coords.shape[1], radius)
    found: Int32[np.ndarray, "M D"] = (coords[:, None, :] + offsets[None]).reshape(-1, coords.shape[1])
    return found


@cache
def _ball(dim: int, radius: float) -> Int32[np.ndarray, "K D"]:
    reach = range(-int(radius), int(radius) + 1)
    inside = [place for place in itertools.product(reach, repeat=dim) if sum(x * x for x in place) <= radius**2]
    found = np.array(inside, dtype=np.int32)
    found.flags.writeable = False
    return found


def unique_inside(coords: Int32[np.ndarray, "N D"], image_size: tuple[int, ...]) -> Int32[np.ndarray, "M D"]:
    """The different voxels inside the image, in lexicographic order."""
    inside = ((coords >= 0) & (coords < np.array(image_size, dtype=np.int32))).all(axis=1)
    number = np.ravel_multi_index(tuple(coords[inside].T.astype(np.int64)), image_size)
    found: Int32[np.ndarray, "M D"] = np.stack(np.unravel_index(np.unique(number), image_size), axis=1).astype(np.int32)
    return found

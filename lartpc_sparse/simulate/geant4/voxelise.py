"""Cuts straight steps at the borders of the voxels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["split_steps"]


def split_steps(
    begin: Float64[np.ndarray, "M 3"], end: Float64[np.ndarray, "M 3"]
) -> tuple[Int64[np.ndarray, " P"], Float64[np.ndarray, " P"], Int64[np.ndarray, "P 3"]]:
    """The P pieces of M steps, each in one voxel, in the order of the steps and along them.

    Args:
        begin: where each step begins, in voxels: voxel i reaches from i to i + 1.
        end: where it ends.

    Returns:
        the step of every piece, its share of the step's length (1 for a step without length), and its voxel.
    """
    vector, first, last = end - begin, np.floor(begin), np.floor(end)
    crossings = np.abs(last - first).astype(np.int64)
    steps, places = [np.arange(len(begin))], [np.zeros(len(begin))]
    for axis in range(3):
        count = crossings[:, axis]
        step = np.repeat(np.arange(len(begin)), count)
        nth = np.arange(len(step)) - np.repeat(np.cumsum(count) - count, count)
        forward = vector[step, axis] > 0
        border = np.where(forward, first[step, axis] + 1 + nth, first[step, axis] - nth)
        steps.append(step)
        places.append((border - begin[step, axis]) / vector[step, axis])
    step, place = np.concatenate(steps), np.clip(np.concatenate(places), 0.0, 1.0)
    order = np.lexsort((place, step))
    step, place = step[order], place[order]
    is_last = np.diff(step, append=-1) != 0
    following = np.where(is_last, 1.0, np.roll(place, -1)) if len(place) else place
    share = following - place
    kept = (share > 0) | ~vector[step].any(axis=1)
    step, share, middle = step[kept], share[kept], (place[kept] + following[kept]) / 2
    voxel = np.floor(begin[step] + middle[:, None] * vector[step]).astype(np.int64)
    return step, share, voxel

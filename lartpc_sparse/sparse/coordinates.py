"""Voxel coordinates packed with their event number into one sortable int64 key.

A key is event | x | y | z with equal fields for the D axes and the rest for the event; coordinates are
biased so that negative ones sort below positive ones. Keys therefore sort as (event, x, y, z), and adding
a constant to a key moves the voxel, as long as no field overflows: `pack` keeps `MARGIN` voxels free at both
ends of every field so that a kernel can never reach into a neighbouring field.
"""

from __future__ import annotations

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

__all__ = ["MARGIN", "axis_bits", "coordinate_limit", "keys_of", "max_events", "pack", "shift_of", "unpack"]

MARGIN = 64
"""Voxels kept free at both ends of a field: the largest kernel radius that may be searched."""

_AXIS_BITS = {1: 32, 2: 24, 3: 16, 4: 12}


def axis_bits(dim: int) -> int:
    """Bits of a key given to each of the `dim` axes.

    Raises:
        ValueError: `dim` is not 1, 2, 3 or 4.
    """
    if dim not in _AXIS_BITS:
        raise ValueError(f"coordinates have {dim} axes; 1 to 4 are supported")
    return _AXIS_BITS[dim]


def coordinate_limit(dim: int) -> int:
    """Coordinates must lie in [-limit, limit)."""
    return (1 << (axis_bits(dim) - 1)) - MARGIN


def max_events(dim: int) -> int:
    """Number of events that one batch may hold."""
    return 1 << (63 - dim * axis_bits(dim))


def shift_of(offset: tuple[int, ...]) -> int:
    """What to add to a key to move its voxel by `offset` (one entry an axis)."""
    bits, shift = axis_bits(len(offset)), 0
    for step in offset:
        shift = (shift << bits) + step
    return shift


def pack(coords: Int32[Tensor, "N D"], batch_index: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Keys of voxels, in the order given.

    Raises:
        ValueError: a coordinate or the number of events does not fit into its field; the message names the
            axis, the value and the limit.
    """
    dim = coords.shape[1]
    limit = coordinate_limit(dim)
    if len(coords):
        low, high = coords.amin(dim=0).tolist(), coords.amax(dim=0).tolist()
        for axis in range(dim):
            value = low[axis] if low[axis] < -limit else high[axis]
            if value < -limit or value >= limit:
                raise ValueError(
                    f"coordinate {value} on axis {axis} does not fit: with D = {dim} axes a voxel index must lie in "
                    f"[{-limit}, {limit}); crop the image or shift its origin"
                )
        events = int(batch_index.max()) + 1
        if events > max_events(dim):
            raise ValueError(f"{events} events in one batch; with D = {dim} at most {max_events(dim)} fit")
    return keys_of(coords, batch_index)


def keys_of(coords: Int32[Tensor, "N D"], batch_index: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Keys without the checks of `pack`, for voxels known to lie within `MARGIN` of the limits."""
    dim = coords.shape[1]
    bits = axis_bits(dim)
    key = batch_index.clone()
    bias = 1 << (bits - 1)
    for axis in range(dim):
        key = (key << bits) + (coords[:, axis].to(torch.int64) + bias)
    return key


def unpack(key: Int64[Tensor, " N"], dim: int) -> tuple[Int32[Tensor, "N D"], Int64[Tensor, " N"]]:
    """Coordinates and event numbers of keys: the inverse of `pack`."""
    bits = axis_bits(dim)
    bias, mask = 1 << (bits - 1), (1 << bits) - 1
    axes = [((key >> (bits * (dim - 1 - axis))) & mask) - bias for axis in range(dim)]
    return torch.stack(axes, dim=1).to(torch.int32), key >> (bits * dim)

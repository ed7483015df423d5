"""An image size with which 32-bit voxel keys that overflow still tell neighbours apart.

spconv's CPU build numbers the voxels of a batch in 32 bits. A batch of large images overflows that, silently, and a
voxel may then meet a neighbour that is elsewhere (once in the batch of 32 sample events, in an output that is off by
6e-4). Padding the image moves the numbers; there is nearly always a padding without such an encounter.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Int64

__all__ = ["count_pairs", "unambiguous_shape"]

_BITS = 32
_TRIES = 32


def count_pairs(voxels: Int64[np.ndarray, "N D1"], shape: tuple[int, ...], *, wrap: bool) -> int:
    """Pairs of voxels, event first, that differ by one step of a 3^D kernel: as keys, or as keys modulo 2^32."""
    events = int(voxels[:, 0].max()) + 1
    keys = np.ravel_multi_index(tuple(voxels.T), (events, *shape))
    modulus = 1 << (_BITS if wrap else 62)
    known = np.sort(keys % modulus)
    pairs = 0
    for offset in itertools.product((-1, 0, 1), repeat=len(shape)):
        beside = voxels[:, 1:] + offset
        inside = ((beside >= 0) & (beside < shape)).all(axis=1)
        found = np.ravel_multi_index((voxels[inside, 0], *beside[inside].T), (events, *shape)) % modulus
        pairs += int((np.searchsorted(known, found, "right") - np.searchsorted(known, found, "left")).sum())
    return pairs


def unambiguous_shape(voxels: Int64[np.ndarray, "N D1"], shape: tuple[int, ...], multiple: int) -> tuple[int, ...]:
    """`shape`, rounded up to a multiple, with the last axis as much longer as it takes.

    Raises:
        ValueError: no padding that was tried keeps the voxels apart.
    """
    rounded = tuple(-(-size // multiple) * multiple for size in shape)
    if len(voxels) == 0 or (int(voxels[:, 0].max()) + 1) * np.prod(rounded, dtype=float) < 1 << (_BITS - 1):
        return rounded
    for padding in range(0, _TRIES * multiple, multiple):
        padded = (*rounded[:-1], rounded[-1] + padding)
        if count_pairs(voxels, padded, wrap=True) == count_pairs(voxels, padded, wrap=False):
            return padded
    raise ValueError(f"an image of {shape} voxels is too large for 32-bit keys")

"""Connected parts of many voxel sets at once."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Int, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["NEIGHBOURS", "VoxelKeys", "connected_parts"]

NEIGHBOURS: Int64[np.ndarray, "26 3"] = np.array(
    [offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset != (0, 0, 0)], dtype=np.int64
)


class VoxelKeys:
    """One number a voxel, so that neighbours differ by a fixed number and no border is crossed unseen.

    Args:
        image_size: voxels along each axis.
    """

    def __init__(self, image_size: tuple[int, ...]) -> None:
        self._padded = np.array(image_size, dtype=np.int64) + 2
        self._strides = np.array([self._padded[1] * self._padded[2], self._padded[2], 1], dtype=np.int64)

    @property
    def count(self) -> int:
        """One more than the largest number."""
        return int(np.prod(self._padded))

    @property
    def neighbours(self) -> Int64[np.ndarray, " 26"]:
        """What to add for each of `NEIGHBOURS`."""
        return NEIGHBOURS @ self._strides

    def encode(self, coords: Int[np.ndarray, "N 3"]) -> Int64[np.ndarray, " N"]:
        """Voxels to numbers."""
        return (coords.astype(np.int64) + 1) @ self._strides

    def decode(self, keys: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, "N 3"]:
        """Numbers to voxels."""
        return (
            np.stack([keys // stride % size for stride, size in zip(self._strides, self._padded, strict=True)], 1) - 1
        )


def connected_parts(
    owner: Int64[np.ndarray, " N"], keys: Int64[np.ndarray, " N"], voxels: VoxelKeys
) -> Int64[np.ndarray, " N"]:
    """The 26-connected parts of every owner's voxels, numbered from 0; parts of different owners differ.

    Args:
        owner: whose voxel a row is, from 0.
        keys: its number; the pairs (owner, key) occur once and are sorted.
        voxels: made the keys.
    """
    if not len(keys):
        return np.zeros(0, dtype=np.int64)
    pairs = owner * voxels.count + keys
    first, second = [], []
    for step in voxels.neighbours[voxels.neighbours > 0]:  # the other half is the same edges
        found = np.searchsorted(pairs, pairs + step)
        row = np.flatnonzero(pairs[np.minimum(found, len(pairs) - 1)] == pairs + step)
        first.append(row)
        second.append(found[row])
    edges = (np.concatenate(first), np.concatenate(second))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(len(keys), len(keys)))
    return connected_components(graph, directed=False)[1].astype(np.int64)

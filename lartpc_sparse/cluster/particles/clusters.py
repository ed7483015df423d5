"""Voxels sorted by their cluster, so that sums and extremes over all clusters are one call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int64, Shaped

__all__ = ["Clusters"]


@dataclass(frozen=True)
class Clusters:
    """K clusters of the M voxels that are in one, of an event.

    Attributes:
        ids: of the clusters, ascending.
        rows: voxels of the event, cluster by cluster; within a cluster in ascending order.
        first: place in `rows` where each cluster begins, and M at the end.
        number: of the cluster (0..K-1) at each place.
    """

    ids: Int64[np.ndarray, " K"]
    rows: Int64[np.ndarray, " M"]
    first: Int64[np.ndarray, " K1"]
    number: Int64[np.ndarray, " M"]

    @classmethod
    def of(cls, label: Int[np.ndarray, " N"]) -> Clusters:
        """Clusters of voxels with equal labels; a negative label is no cluster."""
        order = np.argsort(label, kind="stable").astype(np.int64)
        rows = order[np.searchsorted(label[order], 0) :]
        ids, begin, count = np.unique(label[rows], return_index=True, return_counts=True)
        first = np.append(begin, len(rows)).astype(np.int64)
        return cls(ids.astype(np.int64), rows, first, np.repeat(np.arange(len(ids)), count))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> Int64[np.ndarray, " K"]:
        """Voxels of each cluster."""
        return np.diff(self.first)

    def total(self, values: Shaped[np.ndarray, "M *A"]) -> Shaped[np.ndarray, "K *A"]:
        """Sum over each cluster of what is given for each place."""
        if not len(self):
            return np.zeros((0, *values.shape[1:]), dtype=values.dtype)
        return np.asarray(np.add.reduceat(values, self.first[:-1], axis=0))

    def mean(self, values: Float[np.ndarray, "M *A"]) -> Float[np.ndarray, "K *A"]:
        """Unweighted mean over each cluster."""
        size = self.sizes.reshape(-1, *([1] * (values.ndim - 1)))
        return np.asarray(self.total(values) / size)

    def largest(self, values: Shaped[np.ndarray, " M"]) -> Int64[np.ndarray, " K"]:
        """Place of the largest value of each cluster, the first of equal ones."""
        if not len(self):
            return np.empty(0, dtype=np.int64)
        most = np.maximum.reduceat(values, self.first[:-1])
        hits = np.flatnonzero(values == most[self.number])
        _, index = np.unique(self.number[hits], return_index=True)
        return hits[index].astype(np.int64)

    def nearest(
        self, points: Float[np.ndarray, "P D"], positions: Float[np.ndarray, "M D"]
    ) -> Float[np.ndarray, "P K"]:
        """Distance of each point to the nearest voxel of each cluster.

        One matrix product over points and voxels, in blocks of points that stay in the cache.

        Args:
            points: in voxels.
            positions: of the voxel at each place.
        """
        found = np.empty((len(points), len(self)), dtype=np.float64)
        if not len(self):
            return found
        middle = positions.mean(axis=0)  # near the origin, single precision is enough
        here = (positions - middle).astype(np.float32)
        there = (points - middle).astype(np.float32)
        square, own = (here**2).sum(axis=1), (there**2).sum(axis=1)
        step = max(1, 400_000 // len(here))
        for begin in range(0, len(points), step):
            rows = slice(begin, begin + step)
            far = square - 2.0 * (there[rows] @ here.T)
            found[rows] = np.minimum.reduceat(far, self.first[:-1], axis=1) + own[rows, None]
        return np.sqrt(np.maximum(found, 0.0))

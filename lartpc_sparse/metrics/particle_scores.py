"""Scores of single particles: what the clustering made of each true cluster of an event and class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from lartpc_sparse.metrics.clustering import contingency

__all__ = ["ParticleScores", "particle_scores"]


@dataclass(frozen=True)
class ParticleScores:
    """Scores of the K true clusters of an event and class, in ascending order of their ids.

    The match of a true cluster is the predicted cluster with the highest Dice coefficient 2 |t n p| / (|t| + |p|);
    the larger overlap, then the lower id among equals. An unassigned voxel is a predicted cluster of its own.

    Attributes:
        voxels: |t|.
        efficiency: |t n p| / |t| with the match p, 0..1.
        purity: |t n p| / |p|, 0..1; voxels without a true cluster do not count in |p|.
        dice: of the match, 0..1; the Jaccard index |t n p| / |t u p| is dice / (2 - dice).
    """

    voxels: Int64[np.ndarray, " K"]
    efficiency: Float64[np.ndarray, " K"]
    purity: Float64[np.ndarray, " K"]
    dice: Float64[np.ndarray, " K"]

    @property
    def jaccard(self) -> Float64[np.ndarray, " K"]:
        """Jaccard index (intersection over union) with the match, 0..1."""
        return np.asarray(self.dice / (2 - self.dice), dtype=np.float64)


def particle_scores(truth: Int[np.ndarray, " N"], prediction: Int[np.ndarray, " N"]) -> ParticleScores:
    """Scores of each true cluster of one event and class.

    Args:
        truth: true cluster of each voxel; -1: left out.
        prediction: predicted cluster of each voxel; -1: unassigned.

    Raises:
        ValueError: lengths differ, or ids are not integers or lie below -1.
    """
    table = contingency(truth, prediction).tocoo()
    shared = table.data.astype(np.float64)
    true_size = np.bincount(table.row, shared, minlength=table.shape[0])
    found_size = np.bincount(table.col, shared, minlength=table.shape[1])
    dice = 2 * shared / (true_size[table.row] + found_size[table.col])
    order = np.lexsort((table.col, -shared, -dice, table.row))
    _, first = np.unique(table.row[order], return_index=True)
    best = order[first]
    return ParticleScores(
        voxels=true_size.astype(np.int64),
        efficiency=shared[best] / true_size,
        purity=shared[best] / found_size[table.col[best]],
        dice=dice[best],
    )

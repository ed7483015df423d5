"""DBSCAN on voxels (Ester et al. 1996), through scikit-learn."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Int64
from sklearn.cluster import DBSCAN

__all__ = ["dbscan"]


def dbscan(
    coords: Int[np.ndarray, "N D"],
    eps: float,
    min_samples: int,
    labels: Int[np.ndarray, " N"] | None = None,
    *,
    metric: Literal["euclidean", "cityblock"] = "euclidean",
    weights: Float[np.ndarray, " _"] | None = None,
) -> Int64[np.ndarray, " N"]:
    """Cluster voxels by density, each label by itself.

    Args:
        coords: voxel index.
        eps: neighbours lie within this distance, in voxels.
        min_samples: a core voxel has at least so many neighbours, itself included; or neighbours of such weight.
        labels: only voxels of one label are joined; voxels with a negative label ("not labelled") get -1.
        metric: of the distance.
        weights: of the voxels; 1 each by default.

    Returns:
        Cluster of each voxel, ids unique over labels and numbered label by label in ascending order; -1 for
        noise.

    Raises:
        ValueError: `coords` are not (N, D), `labels` or `weights` have another length, eps <= 0 or min_samples < 1.
    """
    if coords.ndim != 2:
        raise ValueError(f"coords must have shape (N, D), not {coords.shape}")
    if labels is not None and labels.shape != (len(coords),):
        raise ValueError(f"labels have shape {labels.shape}, expected ({len(coords)},)")
    if weights is not None and weights.shape != (len(coords),):
        raise ValueError(f"weights have shape {weights.shape}, expected ({len(coords)},)")
    if not eps > 0 or min_samples < 1:
        raise ValueError(f"need eps > 0 and min_samples >= 1, got {eps} and {min_samples}")
    groups = np.zeros(len(coords), dtype=np.int64) if labels is None else labels
    result = np.full(len(coords), -1, dtype=np.int64)
    first_id = 0
    for label in np.unique(groups[groups >= 0]):
        rows = np.flatnonzero(groups == label)
        own = None if weights is None else weights[rows]
        algorithm = DBSCAN(eps=eps, min_samples=min_samples, metric=metric)
        cluster = algorithm.fit_predict(coords[rows], sample_weight=own)
        result[rows] = np.where(cluster >= 0, cluster + first_id, -1)
        first_id += int(cluster.max()) + 1
    return result

"""Clustering scores of one event and class, all from one sparse contingency matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Int64
from scipy import sparse

__all__ = [
    "ClusteringScores",
    "adjusted_rand_index",
    "clustering_scores",
    "contingency",
    "efficiency",
    "purity",
    "summarise_clustering",
    "symmetric_best_dice",
]

_QUANTILES = (0.05, 0.25, 0.75, 0.95)


@dataclass(frozen=True)
class ClusteringScores:
    """Scores of one event and class.

    Attributes:
        ari: adjusted Rand index, -0.5..1.
        purity: mean over predicted clusters of the largest share that one true cluster has of it, 0..1.
        efficiency: mean over true clusters of the largest share that one predicted cluster has of it, 0..1.
        sbd: symmetric best Dice, 0..1.
        n_true: number of true clusters.
        n_predicted: number of predicted clusters; unassigned voxels are not counted here.
    """

    ari: float
    purity: float
    efficiency: float
    sbd: float
    n_true: int
    n_predicted: int


def contingency(truth: Int[np.ndarray, " N"], prediction: Int[np.ndarray, " N"]) -> sparse.csr_array:
    """Number of voxels that true cluster (row) and predicted cluster (column) share.

    Rows and columns follow the sorted ids. Voxels with truth -1 are left out. A voxel with prediction -1
    (unassigned) is a predicted cluster of its own, so that it lowers ARI, efficiency and SBD; these columns
    come last. Purity alone cannot punish it: a cluster of one voxel is pure. O(N log N) time, O(N) memory.

    Returns:
        int64, shape (true clusters, predicted clusters + unassigned voxels); no row and no column is empty.

    Raises:
        ValueError: lengths differ, or ids are not integers or lie below -1.
    """
    for name, ids in (("truth", truth), ("prediction", prediction)):
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must be one-dimensional integers, not {ids.dtype} of shape {ids.shape}")
        if len(ids) and ids.min() < -1:
            raise ValueError(f"{name} has the id {ids.min()}; ids are >= 0, or -1 for none")
    if len(truth) != len(prediction):
        raise ValueError(f"{len(truth)} true ids but {len(prediction)} predicted ones")
    labelled = truth >= 0
    row_ids, rows = np.unique(truth[labelled], return_inverse=True)
    columns, num_columns = _columns(prediction[labelled])
    ones = np.ones(len(rows), dtype=np.int64)
    return sparse.coo_array((ones, (rows, columns)), shape=(len(row_ids), num_columns)).tocsr()


def _columns(prediction: Int[np.ndarray, " N"]) -> tuple[Int64[np.ndarray, " N"], int]:
    assigned = prediction >= 0
    ids, inverse = np.unique(prediction[assigned], return_inverse=True)
    columns = np.empty(len(prediction), dtype=np.int64)
    columns[assigned] = inverse
    unassigned = len(prediction) - int(assigned.sum())
    columns[~assigned] = len(ids) + np.arange(unassigned)
    return columns, len(ids) + unassigned


def adjusted_rand_index(table: sparse.csr_array) -> float:
    """Adjusted Rand index from pair counts (Hubert and Arabie 1985), equal to scikit-learn's.

    Args:
        table: from `contingency`.

    Raises:
        ValueError: the table is empty.
    """
    _check_table(table)
    # Python integers: products of pair counts pass 2^63 from about 50,000 voxels on
    n = int(table.sum())
    both = _sum_of_squares(table.data)
    rows = _sum_of_squares(_sizes(table, axis=1))
    columns = _sum_of_squares(_sizes(table, axis=0))
    together = both - n
    only_prediction, only_truth = columns - both, rows - both
    apart = n * n - only_prediction - only_truth - both
    if only_prediction == 0 and only_truth == 0:
        return 1.0
    agreement = 2 * (together * apart - only_truth * only_prediction)
    expected = (together + only_truth) * (only_truth + apart)
    expected += (together + only_prediction) * (only_prediction + apart)
    return agreement / expected


def purity(table: sparse.csr_array) -> float:
    """Unweighted mean over predicted clusters of (largest overlap with a true cluster / predicted size).

    Args:
        table: from `contingency`.

    Raises:
        ValueError: the table is empty.
    """
    _check_table(table)
    return float(np.mean(_largest(table, axis=0) / _sizes(table, axis=0)))


def efficiency(table: sparse.csr_array) -> float:
    """Unweighted mean over true clusters of (largest overlap with a predicted cluster / true size).

    Args:
        table: from `contingency`.

    Raises:
        ValueError: the table is empty.
    """
    _check_table(table)
    return float(np.mean(_largest(table, axis=1) / _sizes(table, axis=1)))


def symmetric_best_dice(table: sparse.csr_array) -> float:
    """SBD = min(BD(true|predicted), BD(predicted|true)), arXiv:1708.02551.

    BD(A|B) = mean over clusters a of A of max over b of 2 |a n b| / (|a| + |b|).

    Args:
        table: from `contingency`.

    Raises:
        ValueError: the table is empty.
    """
    _check_table(table)
    pairs = table.tocoo()
    sizes = _sizes(table, axis=1)[pairs.row] + _sizes(table, axis=0)[pairs.col]
    dice = sparse.csr_array((2.0 * pairs.data / sizes, (pairs.row, pairs.col)), shape=table.shape)
    return float(min(np.mean(_largest(dice, axis=0)), np.mean(_largest(dice, axis=1))))


def clustering_scores(truth: Int[np.ndarray, " N"], prediction: Int[np.ndarray, " N"]) -> ClusteringScores | None:
    """All scores of one event and class.

    Args:
        truth: true cluster of each voxel; -1: left out.
        prediction: predicted cluster of each voxel; -1: unassigned, counts as a cluster of its own.

    Returns:
        None when no voxel has a true cluster.

    Raises:
        ValueError: lengths differ, or ids are not integers or lie below -1.
    """
    table = contingency(truth, prediction)
    if table.nnz == 0:
        return None
    unassigned = int(((truth >= 0) & (prediction < 0)).sum())
    return ClusteringScores(
        ari=adjusted_rand_index(table),
        purity=purity(table),
        efficiency=efficiency(table),
        sbd=symmetric_best_dice(table),
        n_true=table.shape[0],
        n_predicted=table.shape[1] - unassigned,
    )


def summarise_clustering(scores: Sequence[ClusteringScores | None]) -> dict[str, Any]:
    """Distribution of each score over events, ready for JSON.

    Events without a score (None) are left out.

    Returns:
        `{"ari": {"mean", "median", "quantiles": {"0.05", "0.25", "0.75", "0.95"}, "values"}, "purity": ...,
        "efficiency": ..., "sbd": ..., "n_true": [...], "n_predicted": [...]}`; values rounded to 4 digits;
        mean, median and quantiles are None when there is no event.
    """
    defined = [score for score in scores if score is not None]
    summary: dict[str, Any] = {
        name: _distribution(np.array([getattr(score, name) for score in defined], dtype=np.float64))
        for name in ("ari", "purity", "efficiency", "sbd")
    }
    summary["n_true"] = [score.n_true for score in defined]
    summary["n_predicted"] = [score.n_predicted for score in defined]
    return summary


def _distribution(values: Float64[np.ndarray, " E"]) -> dict[str, Any]:
    known = len(values) > 0
    return {
        "mean": float(values.mean()) if known else None,
        "median": float(np.median(values)) if known else None,
        "quantiles": {str(q): float(np.quantile(values, q)) if known else None for q in _QUANTILES},
        "values": [round(float(value), 4) for value in values],
    }


def _check_table(table: sparse.csr_array) -> None:
    if table.nnz == 0:
        raise ValueError("no voxel with a true cluster: the score is undefined; test for it before the call")


def _sizes(table: sparse.csr_array, axis: int) -> Int64[np.ndarray, " C"]:
    return np.asarray(table.sum(axis=axis), dtype=np.int64).ravel()


def _largest(table: sparse.csr_array, axis: int) -> Float64[np.ndarray, " C"]:
    return np.asarray(table.max(axis=axis).toarray(), dtype=np.float64).ravel()


def _sum_of_squares(counts: Int64[np.ndarray, " C"]) -> int:
    return int(np.dot(counts, counts))

"""One colour for a true instance and the predicted cluster that belongs to it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Int64
from scipy.optimize import linear_sum_assignment

__all__ = ["matched_numbers"]


def matched_numbers(
    truth: Int[np.ndarray, " N"], prediction: Int[np.ndarray, " N"]
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """Renumbers true instances and predicted clusters so that the best matching pairs share a number.

    The pairs are the one-to-one assignment with the largest number of common voxels (Hungarian method). True
    instances are 0, 1, ... from the largest to the smallest; predicted clusters without a partner get numbers
    beyond them, the largest first. Negative labels (no instance, unassigned) become -1.

    Args:
        truth: instance of each voxel, negative for none.
        prediction: cluster of each voxel, negative for none.
    """
    true_ids, true_index = _by_size(truth)
    predicted_ids, predicted_index = _by_size(prediction)
    overlap = np.zeros((len(true_ids), len(predicted_ids)), dtype=np.int64)
    both = (true_index >= 0) & (predicted_index >= 0)
    np.add.at(overlap, (true_index[both], predicted_index[both]), 1)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    paired = overlap[rows, columns] > 0
    number = np.full(len(predicted_ids) + 1, -1, dtype=np.int64)  # the last entry serves index -1
    number[columns[paired]] = rows[paired]
    alone = np.flatnonzero(number[:-1] < 0)
    number[alone] = len(true_ids) + np.arange(len(alone))
    return true_index, number[predicted_index]


def _by_size(labels: Int[np.ndarray, " N"]) -> tuple[Int64[np.ndarray, " K"], Int64[np.ndarray, " N"]]:
    """The labels >= 0 from the most to the least frequent, and each voxel's place among them (-1 for none)."""
    known = labels >= 0
    ids, inverse, sizes = np.unique(labels[known], return_inverse=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    place = np.empty(len(ids), dtype=np.int64)
    place[order] = np.arange(len(ids))
    index = np.full(len(labels), -1, dtype=np.int64)
    index[known] = place[inverse]
    return ids[order].astype(np.int64), index

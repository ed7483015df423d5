"""Intervals of segmentation scores by resampling events.

Voxels of an event are classified right or wrong together, so that events, not voxels, are what is independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int, Num

from lartpc_sparse.metrics.segmentation import track_shower_confusion

__all__ = ["LEVELS", "bootstrap_intervals", "resampled_sums", "stacked_scores", "track_shower_sums"]

LEVELS = (0.68, 0.95)
"""Levels of confidence of the intervals."""

_CHUNK_CELLS = 1 << 22
"""Weights (replicates x events) held at a time: 32 MiB."""

Scores = dict[str, Any]


def resampled_sums(counts: Num[np.ndarray, "E C"], replicates: int, seed: int) -> Float64[np.ndarray, "R C"]:
    """Sums of the rows of `counts` over R samples of E events each, drawn with replacement.

    10^5 events and 1000 replicates take a few seconds and about 100 MB.
    """
    rng = np.random.default_rng(seed)
    events = len(counts)
    rows = counts.astype(np.float64)
    sums = np.zeros((replicates, counts.shape[1]))
    step = max(1, _CHUNK_CELLS // max(events, 1))
    for first in range(0, replicates if events else 0, step):
        number = min(step, replicates - first)
        drawn = rng.integers(events, size=(number, events)) + events * np.arange(number)[:, None]
        times = np.bincount(drawn.reshape(-1), minlength=number * events).reshape(number, events)
        sums[first : first + number] = times.astype(np.float64) @ rows
    return sums


def stacked_scores(confusion: Num[np.ndarray, "R K K1"], class_names: Sequence[str]) -> Scores:
    """`segmentation_scores` of many confusion matrices at once: the same structure without `n`, arrays of R values.

    Undefined values are NaN.
    """
    counts = confusion.astype(np.float64)
    right = np.diagonal(counts, axis1=1, axis2=2)
    true, predicted = counts.sum(axis=2), counts[:, :, :-1].sum(axis=1)
    scores = {
        "recall": _ratio(right, true),
        "precision": _ratio(right, predicted),
        "f1": _ratio(2 * right, true + predicted),
        "iou": _ratio(right, true + predicted - right),
    }
    return {
        "accuracy": _ratio(right.sum(axis=1), counts.sum(axis=(1, 2))),
        "per_class": {
            name: {score: values[:, k] for score, values in scores.items()} for k, name in enumerate(class_names)
        },
        "macro": {
            score: _ratio(np.nansum(values, axis=1), np.isfinite(values).sum(axis=1).astype(np.float64))
            for score, values in scores.items()
        },
    }


def track_shower_sums(
    confusion: Num[np.ndarray, "R K K1"], class_names: Sequence[str]
) -> Num[np.ndarray, "R 2 3"] | None:
    """`track_shower_confusion` of many matrices at once; None when the scheme lacks one of the two."""
    size = len(class_names)
    # the two-class matrix is linear in the cells of the full one: its matrix is found from one cell at a time
    cells = np.eye(size * (size + 1), dtype=np.int64).reshape(-1, size, size + 1)
    each = [track_shower_confusion(cell, class_names) for cell in cells]
    if each[0] is None:
        return None
    merge = np.stack([one.reshape(-1) for one in each if one is not None])
    merged: Num[np.ndarray, "R 2 3"] = (confusion.reshape(len(confusion), -1) @ merge).reshape(-1, 2, 3)
    return merged


def bootstrap_intervals(
    confusions: Int[np.ndarray, "E K K1"], class_names: Sequence[str], replicates: int, seed: int
) -> Scores | None:
    """Percentile intervals of all scores over resampled events.

    Args:
        confusions: confusion matrix of each event, from `confusion_matrix`.
        class_names: one name a row.
        replicates: number of resampled sets.
        seed: of the draws.

    Returns:
        The structure of `segmentation_scores` (without `n`), and under `track_shower` that of the two-class view if
        there is one; every value is `{"68": [low, high], "95": [low, high]}`, None where the score is undefined in
        more than half of the sets. None for fewer than two events, or no replicates.
    """
    if len(confusions) < 2 or replicates < 1:
        return None
    sums = resampled_sums(confusions.reshape(len(confusions), -1), replicates, seed)
    stacked = sums.reshape(-1, *confusions.shape[1:])
    scores = stacked_scores(stacked, class_names)
    two = track_shower_sums(stacked, class_names)
    if two is not None:
        scores["track_shower"] = stacked_scores(two, ("track", "shower"))
    return {"method": "event bootstrap, percentiles", "replicates": replicates, "seed": seed, **_limits(scores)}


def _limits(scores: Scores) -> Scores:
    return {name: _limits(value) if isinstance(value, dict) else _percentiles(value) for name, value in scores.items()}


def _percentiles(values: Float64[np.ndarray, " R"]) -> dict[str, list[float]] | None:
    defined = values[np.isfinite(values)]
    if 2 * len(defined) <= len(values):
        return None
    quantiles = {level: np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]) for level in LEVELS}
    return {f"{100 * level:.0f}": [float(low), float(high)] for level, (low, high) in quantiles.items()}


def _ratio(part: Float64[np.ndarray, "..."], whole: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    return np.asarray(np.divide(part, whole, out=np.full_like(whole, np.nan), where=whole > 0), dtype=np.float64)

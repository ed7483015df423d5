"""One number an event, by which the displayed events are ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from lartpc_sparse.data.prediction_file import Prediction, PredictionFile
from lartpc_sparse.metrics.clustering import clustering_scores
from lartpc_sparse.report.metrics_file import lookup, names
from lartpc_sparse.report.training_log import thinned_rows

__all__ = [
    "EventScores",
    "event_scores",
    "filled_rows",
    "head_classes",
    "match_names",
    "threshold_text",
    "threshold_title",
    "thresholds",
]

POOL = 400
"""Events that are scored from the predictions when the metrics have no accuracy per event."""


@dataclass(frozen=True)
class EventScores:
    """A score for each event of a predictions file, NaN where undefined; `title` says which."""

    title: str
    values: Float64[np.ndarray, " E"]


def event_scores(file: PredictionFile, heads: Mapping[str, dict[str, Any]]) -> EventScores:
    """Accuracy per event, from the metrics where they have it for every event, else from the predictions.

    Without a semantic head it is the adjusted Rand index of the clusters over all classes, else the F1 of the
    gap voxels. At most 400 evenly spaced events are scored from the predictions.
    """
    for name, head in heads.items():
        values = head.get("event_accuracy")
        if isinstance(values, list) and len(values) == len(file):
            scores = [value if isinstance(value, int | float) else np.nan for value in values]
            return EventScores(f"accuracy of {name}", np.array(scores, dtype=np.float64))
    scored = np.full(len(file), np.nan)
    title = "no score"
    for index in thinned_rows(len(file), POOL).tolist():
        prediction = file.read(index)
        if prediction.status == "ok" and len(prediction):
            title, scored[index] = _score(prediction, file.classes, heads)
    return EventScores(title, scored)


def head_classes(name: str, heads: Mapping[str, dict[str, Any]], file_classes: Sequence[str]) -> tuple[str, ...]:
    """Names of a semantic head's labels: from the metrics, else those of the file."""
    return names(lookup(heads.get(name), "classes")) or tuple(file_classes)


def match_names(labels: np.ndarray, own: Sequence[str], common: Sequence[str]) -> Int64[np.ndarray, " N"]:
    """Labels in the numbering of `own` names, renumbered to `common`; -1 where the name is not among them."""
    place = [common.index(name) if name in common else -1 for name in own]
    table = np.array([*place, -1], dtype=np.int64)
    known = (labels >= 0) & (labels < len(own))
    return np.asarray(table[np.where(known, labels, len(own))], dtype=np.int64)


def _score(
    prediction: Prediction, file_classes: Sequence[str], heads: Mapping[str, dict[str, Any]]
) -> tuple[str, float]:
    scorers: tuple[tuple[str, Callable[..., float]], ...] = (("label", _accuracy), ("cluster", _rand_index))
    for column, scorer in scorers:
        for key in prediction.columns:
            head, _, found = key.partition("/")
            if found == column:
                title = f"accuracy of {head}" if column == "label" else f"ARI of {head}"
                return title, scorer(prediction, key, head_classes(head, heads, file_classes), file_classes)
    for head, table in prediction.tables.items():
        if {"active", "probability"} <= set(table):
            return f"gap F1 of {head}", _gap_f1(table, heads.get(head))
    return "no score", np.nan


def thresholds(head: Any) -> list[tuple[float, str]]:
    """The evaluated threshold on the probability of a gap voxel, or that of each width of gaps; each with a name."""
    value = lookup(head, "threshold")
    if isinstance(value, list):
        return [(float(each), f"{each:.2f} at {width:g} voxels") for width, each in value]
    return [(float(value), f"{value:.2f}")] if isinstance(value, int | float) else []


def threshold_text(head: Any) -> str:
    """The thresholds for a caption."""
    named = [name for _, name in thresholds(head)]
    return f"threshold {', '.join(named)}" if named else "threshold not known"


def threshold_title(head: Any) -> str:
    """The thresholds for the title of a panel, where there is little room."""
    values = [value for value, _ in thresholds(head)]
    return f"threshold {values[0]:.2f} to {values[-1]:.2f}" if len(values) > 1 else threshold_text(head)


def filled_rows(table: Mapping[str, np.ndarray], head: Any) -> Bool[np.ndarray, " K"]:
    """Which candidates are filled: as the file says, else those from the evaluated threshold on, or 0.5."""
    if "fill" in table:
        rows: Bool[np.ndarray, " K"] = table["fill"] > 0
        return rows
    lowest = min((value for value, _ in thresholds(head)), default=0.5)
    likely: Bool[np.ndarray, " K"] = table["probability"] >= lowest
    return likely


def _accuracy(prediction: Prediction, key: str, own: Sequence[str], file_classes: Sequence[str]) -> float:
    truth = prediction.truth.get("semantic")
    if truth is None:
        return np.nan
    expected = match_names(truth, file_classes, own)
    labelled = expected >= 0
    return float(np.mean(prediction.columns[key][labelled] == expected[labelled])) if labelled.any() else np.nan


def _rand_index(prediction: Prediction, key: str, own: Sequence[str], file_classes: Sequence[str]) -> float:
    truth = prediction.truth.get("instance")
    scores = None if truth is None else clustering_scores(truth, prediction.columns[key])
    return np.nan if scores is None else scores.ari


def _gap_f1(table: Mapping[str, np.ndarray], head: Any) -> float:
    active, filled = table["active"].astype(np.bool_), filled_rows(table, head)
    total = int(active.sum() + filled.sum())
    return 2 * int((active & filled).sum()) / total if total else np.nan

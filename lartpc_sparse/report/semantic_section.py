"""The section of a semantic head: confusion matrices, scores per class, accuracy per event."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Section, Table
from lartpc_sparse.report.charts import histogram, normalised_confusion
from lartpc_sparse.report.decision_section import decision_blocks, decision_headlines
from lartpc_sparse.report.intervals import limits_of, with_limits
from lartpc_sparse.report.metrics_file import lookup, matrix, names, numbers
from lartpc_sparse.report.palette import TRAIN, class_colours
from lartpc_sparse.report.semantic_figures import calibration_blocks, curve_blocks, two_class_table
from lartpc_sparse.report.text import anchor, count, decimal, percent

__all__ = ["NO_PREDICTION", "semantic_headlines", "semantic_section"]

NO_PREDICTION = "no prediction"


def semantic_headlines(metrics: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Quantity, value and meaning of the head's headline numbers."""
    return (
        ("accuracy", _score(metrics, "accuracy"), "labelled voxels given their true class"),
        (
            "track / shower accuracy",
            _score(metrics, "track_shower", "accuracy"),
            "HIP and MIP as track, the other classes as shower",
        ),
        *(
            (
                f"{part} accuracy",
                _score(metrics, "track_shower", "per_class", part, "recall"),
                f"{part} voxels that are called {part}",
            )
            for part in ("track", "shower")
        ),
        ("mean F1", decimal(lookup(metrics, "macro", "f1")), "unweighted mean over the classes"),
        ("mean IoU", decimal(lookup(metrics, "macro", "iou")), "unweighted mean over the classes"),
        *decision_headlines(metrics),
    )


def _score(metrics: dict[str, Any], *keys: str) -> str:
    return with_limits(lookup(metrics, *keys), limits_of(metrics, *keys))


def semantic_section(name: str, metrics: dict[str, Any]) -> Section:
    """Figures and tables of one semantic head."""
    blocks: list[Block] = []
    matrices = _confusions(metrics)
    if matrices:
        blocks.append(FigureGrid(matrices))
    table = _class_table(metrics)
    if table is not None:
        blocks.append(table)
    two = two_class_table(metrics)
    if two is not None:
        blocks.append(two)
    blocks += [*curve_blocks(metrics), *calibration_blocks(metrics)]
    accuracy = numbers(metrics.get("event_accuracy"))
    if len(accuracy):
        blocks.append(FigureGrid((_event_accuracy(accuracy),)))
    blocks += decision_blocks(metrics.get("decisions"))
    if not blocks:
        blocks.append(Note("There are no labelled voxels to compare with."))
    return Section(anchor("head", name), f"Semantic segmentation: {name}", tuple(blocks), _lead(metrics))


def _lead(metrics: dict[str, Any]) -> str:
    replicates = lookup(metrics, "intervals", "replicates")
    if replicates is None:
        return ""
    return (
        f"In brackets: 68\u2009% intervals from {count(replicates)} resampled sets of events (95\u2009% ones: metrics "
        "file). Bars in the figures: 68\u2009% intervals from the scatter between events. Voxels of an event are "
        "right or wrong together, so both are wider than binomial ones."
    )


def _confusions(metrics: dict[str, Any]) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    caption = "Each row adds up to 100\u2009%: the recall of a class is on the diagonal. Counts in the hover."
    for keys, title in (((), "Confusion matrix"), (("track_shower",), "Track against shower")):
        part = lookup(metrics, *keys)
        classes = names(lookup(part, "classes"))
        counts = matrix(lookup(part, "confusion"), len(classes))
        if counts is None or counts.shape[1] not in (len(classes), len(classes) + 1):
            continue
        predicted = (*classes, NO_PREDICTION)[: counts.shape[1]]
        if len(predicted) > len(classes) and not counts[:, -1].any():
            predicted, counts = classes, counts[:, :-1]
        spec = normalised_confusion(counts, classes, predicted)
        figures.append(Figure(title, spec, caption if not figures else "", height=400))
    return tuple(figures)


def _class_table(metrics: dict[str, Any]) -> Table | None:
    per_class = metrics.get("per_class")
    if not isinstance(per_class, dict) or not per_class:
        return None
    classes = tuple(str(name) for name in per_class)
    scores = ("recall", "precision", "f1", "iou")
    rows = [
        (name, count(lookup(per_class, name, "n")), *(_score(metrics, "per_class", name, s) for s in scores))
        for name in classes
    ]
    macro = metrics.get("macro")
    if isinstance(macro, dict):
        rows.append(("unweighted mean", "", *(_score(metrics, "macro", score) for score in scores)))
    header = ("class", "voxels", "recall", "precision", "F1", "IoU")
    return Table("Scores per class", header, tuple(rows), class_colours(classes))


def _event_accuracy(accuracy: Float64[np.ndarray, " E"]) -> Figure:
    low = min(0.9, float(np.floor(20 * accuracy.min()) / 20))
    spec = histogram([("events", TRAIN, accuracy)], np.linspace(low, 1, 41), "accuracy of the event")
    caption = (
        f"{count(len(accuracy))} events with labels: median {percent(np.median(accuracy).item(), 2)}, "
        f"5\u2009% of them below {percent(np.quantile(accuracy, 0.05).item(), 2)}."
    )
    return Figure("Accuracy per event", spec | {"layout": spec["layout"] | {"showlegend": False}}, caption)

"""The section of a spatial-embedding head: clustering scores per class, distributions, cluster counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Section, Table, Tabs
from lartpc_sparse.report.charts import histogram, marks
from lartpc_sparse.report.clustering_comparison import SEMANTICS, comparison_blocks, decoding_time, method_title
from lartpc_sparse.report.clustering_curves import curve_blocks
from lartpc_sparse.report.metrics_file import lookup, numbers, paired
from lartpc_sparse.report.palette import class_colours
from lartpc_sparse.report.particle_section import particle_blocks
from lartpc_sparse.report.text import MISSING, anchor, as_float, count, decimal, plain

__all__ = ["clustering_headlines", "clustering_section"]

SCORES = {"ari": "ARI", "purity": "purity", "efficiency": "efficiency", "sbd": "SBD"}


def clustering_headlines(metrics: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Quantity, value and meaning of the head's headline numbers."""
    means = [
        (
            f"mean ARI, {title}",
            decimal(lookup(metrics, "mean_ari", key)),
            "adjusted Rand index per event and class, mean",
        )
        for key, title in SEMANTICS.items()
    ]
    milliseconds = as_float(lookup(metrics, "decode_seconds", "mean"))
    time = MISSING if milliseconds is None else f"{1e3 * milliseconds:.3g} ms"
    return (*means, ("decoding", time, "time to make the clusters of an event, mean"))


def clustering_section(name: str, metrics: dict[str, Any]) -> Section:
    """Figures and tables of one spatial-embedding head."""
    methods = _methods(metrics)
    blocks: list[Block] = []
    if methods:
        blocks.append(_score_table(methods))
    blocks += [*comparison_blocks(metrics), *curve_blocks(metrics)]
    views = tuple((title, grids) for title, classes in methods.items() if (grids := _distributions(title, classes)))
    if views:
        blocks.append(Tabs(views))
    blocks += particle_blocks(metrics.get("particles"))
    if not blocks:
        blocks.append(Note("There are no true clusters to compare with."))
    lead = (
        "One value per event and class. Purity and efficiency are unweighted means over clusters; SBD is the "
        "symmetric best Dice; a voxel without a cluster counts against. A particle is compared with the predicted "
        f"cluster that has the highest Dice with it. {decoding_time(metrics)}"
    )
    return Section(anchor("head", name), f"Clustering: {name}", tuple(blocks), lead)


def _methods(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The per-class scores of each way of clustering, by title: the network's first, then the baselines."""
    found = {f"network, {title}": lookup(metrics, "semantics", key) for key, title in SEMANTICS.items()}
    baselines = metrics.get("baselines")
    if isinstance(baselines, dict):
        found |= {method_title(str(key)): value for key, value in baselines.items()}
    others = metrics.get("baselines_predicted_semantics")
    if isinstance(others, dict):
        found |= {f"{method_title(str(key))}, {SEMANTICS['predicted']}": value for key, value in others.items()}
    return {title: classes for title, classes in found.items() if isinstance(classes, dict) and classes}


def _score_table(methods: dict[str, dict[str, Any]]) -> Table:
    classes = tuple(dict.fromkeys(str(name) for scores in methods.values() for name in scores))
    colours = dict(zip(classes, class_colours(classes), strict=True))
    rows: list[tuple[str, ...]] = []
    swatches: list[str | None] = []
    for name in classes:
        for title, scores in methods.items():
            if isinstance(scores.get(name), dict):
                cells = (_mean_and_median(scores[name].get(score)) for score in SCORES)
                events = count(len(numbers(lookup(scores, name, "ari", "values"))) or None)
                rows.append((name, title, *cells, events))
                swatches.append(colours[name])
    header = ("class", "method", *SCORES.values(), "events")
    return Table(
        "Mean (median) over the events that have the class", header, tuple(rows), tuple(swatches), text_columns=2
    )


def _mean_and_median(summary: Any) -> str:
    mean, median = decimal(lookup(summary, "mean")), decimal(lookup(summary, "median"))
    return mean if median == MISSING else f"{mean} ({median})"


def _distributions(title: str, classes: dict[str, Any]) -> tuple[FigureGrid, ...]:
    known = tuple(str(name) for name in classes)
    colours = class_colours(known)
    edges = np.linspace(0, 1, 26)
    figures = []
    for score, label in SCORES.items():
        samples = [
            (name, colour, values)
            for name, colour in zip(known, colours, strict=True)
            if len(values := numbers(lookup(classes, name, score, "values")))
        ]
        if samples:
            figures.append(Figure(f"{label}, {title}", histogram(samples, edges, label), height=280))
    counts = [
        figure
        for name, colour in zip(known, colours, strict=True)
        if (figure := _cluster_counts(name, colour, classes[name])) is not None
    ]
    grids = (
        FigureGrid(tuple(figures), log_switch=True, columns="wide"),
        FigureGrid(tuple(counts), columns="narrow"),
    )
    return tuple(grid for grid in grids if grid.figures)


def _cluster_counts(name: str, colour: str, scores: Any) -> Figure | None:
    true, predicted = paired(lookup(scores, "n_true"), lookup(scores, "n_predicted"))
    if not len(true):
        return None
    points, events = np.unique(np.column_stack([true, predicted]), axis=0, return_counts=True)
    sizes = 5 + 13 * np.sqrt(events / events.max())
    spec = marks(
        points[:, 0],
        points[:, 1],
        f"true {plain(name)} clusters",
        "predicted clusters",
        colour=colour,
        sizes=sizes,
        hover="true %{x}, predicted %{y}: %{customdata} events<extra></extra>",
    )
    spec["data"][1]["customdata"] = events.tolist()
    equal = float(np.mean(true == predicted))
    bias = float(np.mean(predicted - true))
    caption = f"Equal in {100 * equal:.0f}\u2009% of the events; predicted minus true {bias:+.2f} on average."
    return Figure(f"Number of clusters: {name}", spec, caption, height=280)

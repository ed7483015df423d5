"""Figures and tables of a semantic head beyond its scores: two classes, binned curves, calibration."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.report.binned_charts import Bins, binned_rates, read_bins, reliability
from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Table
from lartpc_sparse.report.intervals import limits_of, with_limits
from lartpc_sparse.report.metrics_file import lookup, numbers
from lartpc_sparse.report.palette import NEUTRAL, VALIDATION, class_colours
from lartpc_sparse.report.text import count, decimal

__all__ = ["calibration_blocks", "curve_blocks", "two_class_table"]


def two_class_table(metrics: dict[str, Any]) -> Table | None:
    """Track and shower accuracy of all events and of the subsets, as in Table II of arXiv:2012.08513."""
    subsets = metrics.get("subsets")
    samples = {"all events": metrics, **(subsets if isinstance(subsets, dict) else {})}
    rows = []
    for name, scores in samples.items():
        if lookup(scores, "track_shower") is None:
            continue
        cells = [str(name), count(lookup(scores, "events")) if scores is not metrics else ""]
        for part in ("track", "shower"):
            keys = ("track_shower", "per_class", part)
            cells.append(count(lookup(scores, *keys, "n")))
            cells.append(with_limits(lookup(scores, *keys, "recall"), limits_of(scores, *keys, "recall")))
        cells.append(
            with_limits(lookup(scores, "track_shower", "accuracy"), limits_of(scores, "track_shower", "accuracy"))
        )
        rows.append(tuple(cells))
    if not rows:
        return None
    header = ("sample", "events", "track voxels", "track accuracy", "shower voxels", "shower accuracy", "both")
    caption = "Two classes: HIP and MIP are track; shower, delta and Michel are shower"
    return Table(caption, header, tuple(rows))


def curve_blocks(metrics: dict[str, Any]) -> list[Block]:
    """Accuracy and recall per class against quantities of voxel and event."""
    curves = metrics.get("curves")
    if not isinstance(curves, dict):
        return []
    figures = tuple(figure for curve in curves.values() if (figure := _curve(curve)) is not None)
    blocks: list[Block] = []
    if figures:
        blocks.append(FigureGrid(figures))
    if "vertex_distance" in curves and not metrics.get("events_with_vertex"):
        text = (
            "There is no curve against the distance to the vertex: the events have no particle table with positions of "
            "their vertices in voxels, or the predictions are from before it was stored."
        )
        blocks.append(Note(text))
    return blocks


def _curve(curve: Any) -> Figure | None:
    overall = read_bins("all", NEUTRAL, lookup(curve, "all"), dashed=True)
    edges = numbers(lookup(curve, "edges")).tolist()
    title = str(lookup(curve, "title") or "")
    if overall is None or not edges or min(edges) <= 0:
        return None
    unit = lookup(curve, "unit")
    spec = binned_rates(
        [overall, *_class_bins(lookup(curve, "per_class"))],
        edges,
        f"{title} ({unit})" if unit else title,
        "share that is right",
        overall,
    )
    return Figure(f"Accuracy against {title}", spec, height=400)


def _class_bins(per_class: Any) -> list[Bins]:
    if not isinstance(per_class, dict):
        return []
    colours = class_colours([str(name) for name in per_class])
    found = [
        read_bins(str(name), colour, value) for (name, value), colour in zip(per_class.items(), colours, strict=True)
    ]
    return [bins for bins in found if bins is not None]


def calibration_blocks(metrics: dict[str, Any]) -> list[Block]:
    """Reliability diagrams: of the most probable class, of each class, and of the shower score."""
    calibration = metrics.get("calibration")
    top = read_bins("most probable class", NEUTRAL, lookup(calibration, "all"))
    if top is None:
        return []
    bins = len(lookup(calibration, "all", "n"))
    shower = read_bins("shower score", VALIDATION, lookup(calibration, "shower_score"), dashed=True)
    first = [top] if shower is None else [top, shower]
    error = f"Expected calibration error of the most probable class {decimal(lookup(calibration, 'all', 'ece'), 4)}"
    if shower is not None:
        error += (
            f", of the shower score (sum over shower, delta, Michel) {decimal(_ece(calibration, 'shower_score'), 4)}"
        )
    figures = [Figure("Calibration", reliability(first, bins, top), error + ".", height=400)]
    per_class = lookup(calibration, "per_class")
    curves = _class_bins(per_class)
    if curves:
        listed = ", ".join(f"{curve.name} {decimal(_ece(per_class, curve.name), 4)}" for curve in curves)
        spec = reliability(curves, bins, top)
        figures.append(Figure("Calibration of each class", spec, f"Expected calibration errors: {listed}.", height=400))
    return [FigureGrid(tuple(figures))]


def _ece(value: Any, name: str) -> Any:
    return lookup(value, name, "ece")

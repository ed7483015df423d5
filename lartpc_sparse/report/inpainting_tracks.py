"""Tracks that cross gaps: the network beside the baselines, and what the scores depend on."""

from __future__ import annotations

from typing import Any

import numpy as np

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Table
from lartpc_sparse.report.charts import Line, lines
from lartpc_sparse.report.metrics_file import lookup
from lartpc_sparse.report.palette import FALSE, FOUND, MISSED, NEUTRAL, TRAIN
from lartpc_sparse.report.text import as_float, count, decimal

__all__ = ["class_table", "method_name", "track_blocks"]

_COLOURS = {"network": TRAIN, "line": MISSED, "reflection": FALSE, "line_true_ends": FOUND}
_QUANTITIES = {
    "width": "width of the gap (voxels)",
    "angle": "angle to the gap's normal (degrees)",
    "vertex_distance": "distance to the vertex (voxels)",
}
_SCORES = (
    ("F1", ("f1",)),
    ("F1, one voxel of tolerance", ("tolerant", "f1")),
    ("charge ratio, median", ("charge", "median")),
    ("charge ratio, 68\u2009% half width", ("charge", "half_width_68")),
)


def method_name(key: str) -> str:
    """How the page calls a way of filling."""
    names = {
        "nothing": "nothing filled",
        "line": "line, own ends",
        "line_true_ends": "line, true ends",
        "reflection": "reflection",
    }
    return names.get(key, key.replace("_", " "))


def track_blocks(metrics: dict[str, Any]) -> list[Block]:
    """Table and figures of the tracks that cross gaps; nothing where there are none."""
    tracks = metrics.get("tracks")
    methods = lookup(tracks, "methods")
    if not isinstance(methods, dict) or not methods:
        return []
    rows = [
        (
            method_name(str(name)),
            *(decimal(lookup(scores, key)) for key in ("precision", "recall", "f1", "iou")),
            decimal(lookup(scores, "tolerant", "f1")),
            decimal(lookup(scores, "charge", "median")),
            decimal(lookup(scores, "charge", "half_width_68")),
            decimal(lookup(scores, "chamfer")),
            decimal(lookup(scores, "earth_mover")),
        )
        for name, scores in methods.items()
    ]
    header = ("filled with", "precision", "recall", "F1", "IoU", "F1 ± 1 voxel", "charge ratio", "± (68\u2009%)")
    caption = (
        f"{count(lookup(tracks, 'crossings'))} true tracks that cross a gap; a line between the true ends knows them"
    )
    blocks: list[Block] = [Table(caption, (*header, "Chamfer", "earth mover"), tuple(rows))]
    figures = [*_against(tracks), *_dedx(tracks)]
    if figures:
        blocks.append(FigureGrid(tuple(figures)))
    return blocks


def class_table(metrics: dict[str, Any]) -> Table | None:
    """F1 of the voxels of each class, by way of filling."""
    classes = metrics.get("classes")
    if not isinstance(classes, dict) or not classes:
        return None
    methods = list(next(iter(classes.values())))
    rows = [
        (str(name), *(decimal(lookup(scores, method, "f1")) for method in methods))
        for name, scores in classes.items()
        if any(as_float(lookup(scores, method, "f1")) is not None for method in methods)
    ]
    if not rows:
        return None
    caption = "F1 of the gap voxels by class; a voxel made up is of the class of the nearest true one"
    return Table(caption, ("class", *map(method_name, methods)), tuple(rows))


def _against(tracks: Any) -> list[Figure]:
    figures = []
    for key, title in _QUANTITIES.items():
        bins = [one for one in lookup(tracks, "against", key) or [] if lookup(one, "crossings")]
        if len(bins) < 2:
            continue
        for score, path in _SCORES[:2]:
            curves = _curves(bins, path)
            if curves:
                number = sum(lookup(one, "crossings") for one in bins)
                caption = f"{count(number)} crossings; a point stands at the lower edge of its bin."
                figures.append(Figure(f"{score} against {title}", lines(curves, title, score), caption))
    return figures


def _curves(bins: list[Any], path: tuple[str, ...]) -> list[Line]:
    places = np.array([float(one["from"]) for one in bins])
    curves = []
    for name in bins[0]["methods"]:
        values = [as_float(lookup(one, "methods", name, *path)) for one in bins]
        known = np.array([value is not None for value in values])
        if known.any():
            heights = np.array([value for value in values if value is not None], dtype=np.float64)
            colour = _COLOURS.get(name, NEUTRAL)
            curves.append(Line(method_name(name), places[known], heights, colour, markers=True))
    return curves


def _dedx(tracks: Any) -> list[Figure]:
    true = lookup(tracks, "dedx", "true")
    methods = lookup(tracks, "dedx", "methods")
    if not isinstance(true, list) or not isinstance(methods, dict):
        return []
    way = (np.arange(len(true)) + 0.5) / max(len(true), 1)
    curves = [Line("true", way, np.array(true, dtype=np.float64), NEUTRAL, markers=True)]
    curves += [
        Line(method_name(name), way, np.array(values, dtype=np.float64), _COLOURS.get(name, NEUTRAL))
        for name, values in methods.items()
    ]
    spec = lines(curves, "share of the way through the gap", "dE/dx (MeV/cm)")
    spec["layout"]["yaxis"] |= {"rangemode": "tozero"}
    return [Figure("dE/dx through the gap", spec, "Energy over length, all crossings together.")]

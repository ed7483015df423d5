"""Curves of a clustering section: share of well found particles against multiplicity, size and angle."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.report.binned_charts import Bins, binned_rates, read_bins
from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Tabs
from lartpc_sparse.report.clustering_comparison import SEMANTICS, method_title
from lartpc_sparse.report.metrics_file import lookup, numbers
from lartpc_sparse.report.palette import FOUND, NEUTRAL, VALIDATION, class_colours
from lartpc_sparse.report.text import decimal

__all__ = ["curve_blocks"]

_QUANTITIES = {
    "multiplicity": ("multiplicity", "true clusters of the class in the event"),
    "size": ("cluster size", "size of the true cluster (voxels)"),
    "angle": ("angle to what touches it", "smallest angle to a touching cluster of the class (degrees)"),
}
_METHOD_COLOURS = {"network": FOUND, "connected_components": NEUTRAL, "dbscan": VALIDATION}


def curve_blocks(metrics: dict[str, Any]) -> list[Block]:
    """For each kind of semantics: the network by class, then each class beside the baselines."""
    cut = decimal(metrics.get("cut"), 2)
    views = []
    for key, title in SEMANTICS.items():
        methods = lookup(metrics, "curves", key)
        if not isinstance(methods, dict):
            continue
        figures = (_by_class(methods.get("network"), cut), _by_method(methods, cut))
        grids = tuple(FigureGrid(own, columns="narrow") for own in figures if own)
        if grids:
            views.append((f"curves, {title}", grids))
    return [Tabs(tuple(views))] if views else []


def _by_class(curves: Any, cut: str) -> tuple[Figure, ...]:
    figures = []
    for quantity, (short, x_title) in _QUANTITIES.items():
        classes = lookup(curves, quantity, "dice")
        names = [str(name) for name in classes] if isinstance(classes, dict) else []
        found = [
            read_bins(name, colour, classes[name]) for name, colour in zip(names, class_colours(names), strict=True)
        ]
        figure = _figure(f"Particles against {short}", found, lookup(curves, quantity, "edges"), x_title, cut)
        if figure is not None:
            figures.append(figure)
    return tuple(figures)


def _by_method(methods: dict[str, Any], cut: str) -> tuple[Figure, ...]:
    figures = []
    names = dict.fromkeys(
        str(name) for curves in methods.values() for name in lookup(curves, "multiplicity", "dice") or ()
    )
    order = sorted(methods, key=lambda method: method != "network")
    for name in names:
        for quantity, (short, x_title) in _QUANTITIES.items():
            found = [
                read_bins(
                    method_title(method),
                    _METHOD_COLOURS.get(method, NEUTRAL),
                    lookup(methods[method], quantity, "dice", name),
                    dashed=method != "network",
                )
                for method in order
            ]
            edges = lookup(methods[order[0]], quantity, "edges")
            figure = _figure(f"{name} against {short}", found, edges, x_title, cut)
            if figure is not None:
                figures.append(figure)
    return tuple(figures)


def _figure(title: str, found: list[Bins | None], edges: Any, x_title: str, cut: str) -> Figure | None:
    curves = [bins for bins in found if bins is not None]
    limits = numbers(edges).tolist()
    if not curves or not limits or min(limits) <= 0:
        return None
    most = max(curves, key=lambda bins: float(bins.n.sum()))
    spec = binned_rates(curves, limits, x_title, f"share with Dice > {cut}", most, unit="particles")
    return Figure(title, spec, height=360)

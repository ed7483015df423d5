"""Figures that compare groups of runs: bars with points, and points alone with the axis zoomed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lartpc_sparse.report.charts import axis
from lartpc_sparse.report.compared import Group
from lartpc_sparse.report.palette import NEUTRAL, TRAIN
from lartpc_sparse.report.text import decimal, plain

__all__ = ["bars_with_points", "points_with_mean"]

_DIGITS = 4


def bars_with_points(groups: Sequence[Group], key: str, title: str) -> dict[str, Any]:
    """A bar for the mean of each group, from zero, and a point for each run."""
    shown = [group for group in groups if group.values(key)]
    bars = {
        "type": "bar",
        "x": [plain(group.name) for group in shown],
        "y": [group.mean(key) for group in shown],
        "text": [decimal(group.mean(key), _DIGITS) for group in shown],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "marker": {"color": TRAIN, "opacity": 0.8},
        "hovertemplate": "%{x}: mean %{y:.4f}<extra></extra>",
    }
    layout = {**_layout(title), "bargap": 0.45}
    layout["yaxis"] = axis(title, rangemode="tozero")
    return {"data": [bars, _points(shown, key)], "layout": layout}


def points_with_mean(groups: Sequence[Group], key: str, title: str) -> dict[str, Any]:
    """A point for each run; the mean of each group with its spread, where it has several. The axis is zoomed."""
    shown = [group for group in groups if group.values(key)]
    several = [group for group in shown if group.spread(key) is not None]
    means = {
        "type": "scatter",
        "mode": "markers",
        "x": [plain(group.name) for group in several],
        "y": [group.mean(key) for group in several],
        "error_y": {"type": "data", "array": [group.spread(key) for group in several], "color": NEUTRAL},
        "marker": {"symbol": "line-ew-open", "size": 26, "color": NEUTRAL, "line": {"width": 3}},
        "hovertemplate": "%{x}: mean %{y:.4f}<extra></extra>",
    }
    return {"data": [_points(shown, key), means], "layout": _layout(title)}


def _points(groups: Sequence[Group], key: str) -> dict[str, Any]:
    found = [(group, run, value) for group in groups for run in group.members if (value := run.value(key)) is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [plain(group.name) for group, _, _ in found],
        "y": [value for _, _, value in found],
        "customdata": [plain(run.name) for _, run, _ in found],
        "marker": {"size": 9, "color": TRAIN, "line": {"width": 1.5, "color": "#ffffff"}},
        "hovertemplate": "%{customdata}: %{y:.4f}<extra></extra>",
    }


def _layout(title: str) -> dict[str, Any]:
    return {"xaxis": axis("", type="category"), "yaxis": axis(title), "showlegend": False}

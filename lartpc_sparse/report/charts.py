"""Plotly figures as plain mappings `{"data": [...], "layout": {...}}`.

Fonts, grounds and grid colours come from the page, which knows whether it is shown light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from lartpc_sparse.report.palette import NEUTRAL
from lartpc_sparse.report.text import count, percent, plain

__all__ = ["Line", "axis", "histogram", "lines", "marks", "normalised_confusion", "rounded", "vertical"]

Spec = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One curve of a line figure; `faint` is drawn thin and transparent and has no entry in the legend."""

    name: str
    x: Float64[np.ndarray, " N"]
    y: Float64[np.ndarray, " N"]
    colour: str
    faint: bool = False
    markers: bool = False
    legend: bool = True


def rounded(values: np.ndarray, digits: int = 5) -> list[float]:
    """The values with so many significant digits, to keep the page small."""
    return [float(f"{value:.{digits}g}") for value in values.tolist()]


def axis(title: str, **more: Any) -> Spec:
    """An axis with a title."""
    return {"title": {"text": title}, **more}


def vertical(x: float, label: str, dash: str = "dash") -> tuple[Spec, Spec]:
    """A vertical reference line over the whole height, and its label at the top: shape and annotation."""
    line = {"color": NEUTRAL, "width": 1.5, "dash": dash}
    shape = {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}
    note = {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "text": label, "showarrow": False}
    return shape, note


def lines(curves: Sequence[Line], x_title: str, y_title: str) -> Spec:
    """Curves over one axis."""
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers" if curve.markers else "lines",
            "name": plain(curve.name),
            "x": rounded(curve.x),
            "y": rounded(curve.y),
            "opacity": 0.28 if curve.faint else 1.0,
            "line": {"color": curve.colour, "width": 1 if curve.faint else 2},
            "marker": {"size": 5},
            "showlegend": curve.legend and not curve.faint,
            "hoverinfo": "skip" if curve.faint else "x+y+name",
        }
        for curve in curves
    ]
    return {"data": data, "layout": {"xaxis": axis(x_title), "yaxis": axis(y_title)}}


def histogram(
    samples: Sequence[tuple[str, str, Float64[np.ndarray, " _"]]],
    edges: Float64[np.ndarray, " B"],
    x_title: str,
    y_title: str = "fraction of events",
) -> Spec:
    """Step histograms of `(name, colour, values)`, each normalised to 1; values outside go to the end bins."""
    data = []
    for name, colour, values in samples:
        counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        share = counts / max(counts.sum(), 1)
        outline = np.concatenate([[0.0], share, [0.0]])
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(name),
                "x": rounded(np.concatenate([edges[:1], edges])),
                "y": rounded(outline),
                "line": {"shape": "hv", "color": colour, "width": 2},
                "fill": "tozeroy",
                "fillcolor": colour + "1f",
                "hovertemplate": "from %{x:.3g}: %{y:.3f}<extra>" + plain(name) + "</extra>",
            }
        )
    return {"data": data, "layout": {"xaxis": axis(x_title), "yaxis": axis(y_title, rangemode="tozero")}}


def marks(
    x: Float64[np.ndarray, " N"],
    y: Float64[np.ndarray, " N"],
    x_title: str,
    y_title: str,
    *,
    colour: str,
    log: bool = False,
    sizes: Float64[np.ndarray, " N"] | None = None,
    hover: str = "true %{x:.4g}, predicted %{y:.4g}<extra></extra>",
) -> Spec:
    """Points against the diagonal y = x, both axes with one range; `log` leaves out values <= 0.

    `sizes` are the marker diameters in pixels, 6 by default.
    """
    if log:
        kept = (x > 0) & (y > 0)
        x, y, sizes = x[kept], y[kept], None if sizes is None else sizes[kept]
    both = np.concatenate([x, y]) if len(x) else np.array([1.0, 10.0])
    low, high = float(both.min()), float(both.max())
    if log:
        low, high = low / 1.5, high * 1.5
        shown = [float(np.log10(low)), float(np.log10(high))]
    else:
        margin = 0.06 * (high - low) + 0.5
        low, high = low - margin, high + margin
        shown = [low, high]
    marker: Spec = {
        "color": colour,
        "opacity": 0.7,
        "size": 6 if sizes is None else rounded(sizes, 3),
        "line": {"width": 0},
    }
    points = {"type": "scatter", "mode": "markers", "x": rounded(x), "y": rounded(y), "marker": marker}
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [low, high],
        "y": [low, high],
        "line": {"color": NEUTRAL, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
    }
    scale = {"type": "log", "dtick": 1} if log else {"type": "linear"}
    layout = {
        "xaxis": axis(x_title, range=shown, **scale),
        "yaxis": axis(y_title, range=shown, **scale),
        "showlegend": False,
    }
    return {"data": [diagonal, {**points, "hovertemplate": hover}], "layout": layout}


def normalised_confusion(
    counts: Float64[np.ndarray, "K C"], true_names: Sequence[str], predicted_names: Sequence[str]
) -> Spec:
    """A confusion matrix as a heat map: every row normalised to its true class, the counts in the hover.

    Args:
        counts: rows are the true classes, columns the predicted ones.
        true_names: K names.
        predicted_names: C names.
    """
    total = counts.sum(axis=1, keepdims=True)
    share = counts / np.where(total > 0, total, 1)
    shown = [[percent(value) if total[row, 0] else "" for value in cells] for row, cells in enumerate(share)]
    data = {
        "type": "heatmap",
        "x": [plain(name) for name in predicted_names],
        "y": [plain(name) for name in true_names],
        "z": [rounded(row, 4) for row in share],
        "zmin": 0,
        "zmax": 1,
        "text": shown,
        "customdata": [[count(value) for value in row] for row in counts],
        "texttemplate": "%{text}",
        "hovertemplate": "true %{y}<br>predicted %{x}<br>%{customdata} voxels, %{text}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }
    layout = {
        "xaxis": axis("predicted class", type="category", showgrid=False, ticks=""),
        "yaxis": axis("true class", type="category", showgrid=False, ticks="", autorange="reversed"),
    }
    return {"data": [data], "layout": layout}

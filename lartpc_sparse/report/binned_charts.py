"""Figures of rates in bins with their intervals and the numbers of voxels below: binned curves, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from lartpc_sparse.report.charts import Spec, axis
from lartpc_sparse.report.metrics_file import lookup
from lartpc_sparse.report.palette import NEUTRAL
from lartpc_sparse.report.text import count, percent, plain

__all__ = ["Bins", "binned_rates", "read_bins", "reliability"]

_PANEL = 0.2
"""Share of the height that the numbers of voxels take."""


@dataclass(frozen=True)
class Bins:
    """One curve: rates in the bins that are not empty; NaN limits where there are none.

    Attributes:
        name: in the legend.
        colour: of points and lines.
        place: bin of each point.
        n: voxels.
        mean: mean of the quantity, NaN where it is infinite.
        rate, low, high: share, and limits of its interval.
        dashed: draw the line dashed.
    """

    name: str
    colour: str
    place: np.ndarray
    n: Float64[np.ndarray, " B"]
    mean: Float64[np.ndarray, " B"]
    rate: Float64[np.ndarray, " B"]
    low: Float64[np.ndarray, " B"]
    high: Float64[np.ndarray, " B"]
    dashed: bool = False


def read_bins(name: str, colour: str, value: Any, dashed: bool = False) -> Bins | None:
    """A curve from the metrics; None when it is missing, damaged or empty."""
    columns = [lookup(value, key) for key in ("n", "mean", "rate", "low", "high")]
    if not all(isinstance(column, list) for column in columns) or len({len(column) for column in columns}) != 1:
        return None
    table = np.array(
        [[entry if isinstance(entry, int | float) else np.nan for entry in column] for column in columns], dtype=float
    )
    kept = np.flatnonzero((table[0] > 0) & np.isfinite(table[2]))
    if not len(kept):
        return None
    n, mean, rate, low, high = table[:, kept]
    return Bins(name, colour, kept, n, mean, rate, low, high, dashed)


def binned_rates(
    curves: Sequence[Bins], edges: Sequence[float], x_title: str, y_title: str, voxels: Bins, *, unit: str = "voxels"
) -> Spec:
    """Rates against a quantity on a logarithmic axis; a point is at the mean of its bin.

    Args:
        curves: of one quantity.
        edges: of its bins; below the first and above the last there are bins, too.
        x_title: the quantity with its unit.
        y_title: what the rates are.
        voxels: the curve whose numbers of voxels are drawn below.
        unit: what is counted, if not voxels.
    """
    limits = _limits(edges)
    data = [
        _points(curve, _positions(curve, limits), [_span(edges, k) for k in curve.place.tolist()], unit)
        for curve in curves
    ]
    low, high = limits[voxels.place], limits[voxels.place + 1]
    decades = np.log10(high.max() / low.min())
    x_axis = {"type": "log", "dtick": 1 if decades > 2.5 else "D2"}
    layout = _layout(x_title, y_title, x_axis, _rate_range(curves), unit)
    return {"data": [*data, _numbers(voxels, low, high)], "layout": layout}


def reliability(curves: Sequence[Bins], bins: int, voxels: Bins) -> Spec:
    """Share of voxels of a class against the score given for it; on the diagonal scores are probabilities.

    Args:
        curves: with the mean scores as `mean`.
        bins: number of equal bins from 0 to 1.
        voxels: the curve whose numbers of voxels are drawn below.
    """
    edges = np.linspace(0, 1, bins + 1)
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"color": NEUTRAL, "width": 1, "dash": "dot"},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    data = [
        _points(curve, curve.mean, [f"{edges[k]:.2f} to {edges[k + 1]:.2f}" for k in curve.place.tolist()])
        for curve in curves
    ]
    layout = _layout("score", "share that is right", {"range": [-0.02, 1.02]}, [-0.03, 1.03])
    return {"data": [diagonal, *data, _numbers(voxels, edges[voxels.place], edges[voxels.place + 1])], "layout": layout}


def _limits(edges: Sequence[float]) -> Float64[np.ndarray, " B1"]:
    """Both ends of all bins; the outer ones end half a decade beyond their edge at most."""
    inner = np.asarray(edges, dtype=float)
    step = float(np.clip(inner[-1] / inner[-2], 1.3, 3)) if len(inner) > 1 else 3.0
    return np.concatenate([[inner[0] / step], inner, [inner[-1] * step]])


def _positions(curve: Bins, limits: Float64[np.ndarray, " B1"]) -> Float64[np.ndarray, " B"]:
    """The mean of each bin within the bin's ends; the middle where there is no mean."""
    low, high = limits[curve.place], limits[curve.place + 1]
    return np.asarray(np.where(np.isfinite(curve.mean), np.clip(curve.mean, low, high), np.sqrt(low * high)))


def _span(edges: Sequence[float], place: int) -> str:
    if place == 0:
        return f"below {edges[0]:g}"
    return f"from {edges[-1]:g}" if place == len(edges) else f"{edges[place - 1]:g} to {edges[place]:g}"


def _points(curve: Bins, x: Float64[np.ndarray, " B"], spans: Sequence[str], unit: str = "voxels") -> Spec:
    shown = [
        [span, count(n), percent(low, 2), percent(high, 2)]
        for span, n, low, high in zip(spans, curve.n, curve.low, curve.high, strict=True)
    ]
    up, down = np.nan_to_num(curve.high - curve.rate), np.nan_to_num(curve.rate - curve.low)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(curve.name),
        "x": _short(x),
        "y": _short(curve.rate),
        "error_y": {"array": _short(up), "arrayminus": _short(down), "symmetric": False, "width": 0, "thickness": 1.5},
        "line": {"color": curve.colour, "width": 2, "dash": "dash" if curve.dashed else "solid"},
        "marker": {"size": 6},
        "customdata": shown,
        "hovertemplate": "%{customdata[0]}: %{y:.2%}<br>68 % interval %{customdata[2]} to %{customdata[3]}"
        f"<br>%{{customdata[1]}} {unit}<extra>" + plain(curve.name) + "</extra>",
    }


def _numbers(curve: Bins, low: Float64[np.ndarray, " B"], high: Float64[np.ndarray, " B"]) -> Spec:
    """Bars from edge to edge, drawn as an outline, which also works on a logarithmic axis."""
    x = np.repeat(np.stack([low, high], axis=1).reshape(-1), 2)
    y = np.stack([np.zeros(len(low)), curve.n, curve.n, np.zeros(len(low))], axis=1).reshape(-1)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _short(x),
        "y": _short(y),
        "yaxis": "y2",
        "fill": "tozeroy",
        "fillcolor": NEUTRAL + "40",
        "line": {"color": NEUTRAL, "width": 1},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _layout(x_title: str, y_title: str, x_axis: Spec, y_range: Sequence[float], unit: str = "voxels") -> Spec:
    return {
        "xaxis": axis(x_title, anchor="y2", **x_axis),
        "yaxis": axis(y_title, domain=[_PANEL + 0.05, 1], range=list(y_range), tickformat=".4~g"),
        "yaxis2": axis(unit, domain=[0, _PANEL], rangemode="tozero", nticks=3, exponentformat="SI"),
    }


def _rate_range(curves: Sequence[Bins]) -> tuple[float, float]:
    low = min(float(np.nanmin(np.where(np.isfinite(curve.low), curve.low, curve.rate))) for curve in curves)
    return max(0.0, low - 0.06 * (1 - low)) - 0.005, 1 + 0.03 * (1.01 - low)


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]

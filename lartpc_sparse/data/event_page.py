"""Displays of events as one HTML page that needs no network: by class, by energy, by instance."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int64
from plotly.offline import get_plotlyjs

from lartpc_sparse.data.class_colours import NEUTRAL, class_colours
from lartpc_sparse.data.event import Event

__all__ = ["event_figure", "write_event_page"]

MARKER = {2: 3.0, 3: 2.0}
"""Size of a voxel's mark, pixels."""
_INSTANCE_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#7b4fa3", "#8c564b", "#b09c00")
_STYLE = """
body { font-family: system-ui, sans-serif; margin: 1.5rem; color: #222; background: #fff; }
h2 { font-size: 1.05rem; margin: 1.5rem 0 0; } p { margin: .2rem 0 .6rem; color: #666; }
.display { height: 640px; max-width: 1100px; border: 1px solid #ddd; }
"""


_DRAW = "const draw = (name, figure) => Plotly.newPlot(name, figure.data, figure.layout, {responsive: true});"


def write_event_page(path: Path, title: str, events: Sequence[Event], max_voxels: int) -> None:
    """Write the page; it appears under its name when it is complete.

    Args:
        path: the HTML file; its folder is made.
        title: heading of the page.
        events: to display.
        max_voxels: of a larger event a random part is drawn, and the page says so.
    """
    blocks, calls = [], []
    for place, event in enumerate(events):
        remark = f"{len(event):,} voxels, {float(event.energy.sum()):,.1f} of energy in all"
        if len(event) > max_voxels:
            remark += f"; {max_voxels:,} of them drawn (random choice)"
        heading = f"<h2>{html.escape(str(event.key))}</h2><p>{html.escape(remark)}</p>"
        blocks.append(f'{heading}<div class="display" id="event{place}"></div>')
        figure = json.dumps(event_figure(event, max_voxels)).replace("</", "<\\/")
        calls.append(f"draw('event{place}', {figure});")
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body><h1>{html.escape(title)}</h1>"
        f"{''.join(blocks)}<script>{_DRAW}{' '.join(calls)}</script></body></html>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def event_figure(event: Event, max_voxels: int) -> dict[str, Any]:
    """A plotly figure of an event in 2D or 3D, with buttons for what the colours mean."""
    if len(event) > max_voxels:
        rows = np.sort(np.random.default_rng(event.key.entry).choice(len(event), max_voxels, replace=False))
        event = event.select(rows)
    views: dict[str, list[dict[str, Any]]] = {}
    if "semantic" in event.labels:
        views["class"] = _by_class(event)
    views["energy"] = [_by_energy(event)]
    if "instance" in event.labels:
        views["instance"] = [_by_instance(event)]
    traces = [trace for view in views.values() for trace in view]
    owners = [name for name, view in views.items() for _ in view]
    first = owners[0]
    for trace, owner in zip(traces, owners, strict=True):
        trace["visible"] = owner == first
    buttons = [
        {"label": name, "method": "restyle", "args": [{"visible": [owner == name for owner in owners]}]}
        for name in views
    ]
    menu = {
        "type": "buttons",
        "direction": "right",
        "buttons": buttons,
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "top",
    }
    layout: dict[str, Any] = {"updatemenus": [menu], "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "uirevision": "fixed"}
    layout["legend"] = {"itemsizing": "constant", "y": 0.92}  # below the buttons of plotly
    if event.dim == 3:
        layout["scene"] = {"aspectmode": "data", **{f"{axis}axis": {"title": {"text": axis}} for axis in "xyz"}}
    else:
        layout |= {"margin": {"l": 50, "r": 10, "t": 10, "b": 40}, "yaxis": {"scaleanchor": "x"}}
    return {"data": traces, "layout": layout}


def _trace(event: Event, rows: Int64[np.ndarray, " K"], **options: Any) -> dict[str, Any]:
    coords: Int[np.ndarray, "K D"] = event.coords[rows]
    places = {axis: coords[:, column].tolist() for axis, column in zip("xyz", range(event.dim), strict=False)}
    kind = "scatter3d" if event.dim == 3 else "scatter"
    marker = {"size": MARKER.get(event.dim, 2.0), **options.pop("marker")}
    return {"type": kind, "mode": "markers", **places, "marker": marker, **options}


def _by_class(event: Event) -> list[dict[str, Any]]:
    semantic = event.labels["semantic"]
    names = ["not labelled", *event.classes]
    colours = [NEUTRAL, *class_colours(event.classes)]
    traces = []
    for value, (name, colour) in enumerate(zip(names, colours, strict=True), start=-1):
        rows = np.flatnonzero(semantic == value)
        if len(rows) or not len(semantic):
            traces.append(_trace(event, rows, name=f"{name} ({len(rows):,})", marker={"color": colour}))
    return traces


def _by_energy(event: Event) -> dict[str, Any]:
    floor = float(event.energy[event.energy > 0].min(initial=np.inf)) if len(event) else 1.0
    values = np.log10(np.maximum(event.energy, floor if np.isfinite(floor) else 1.0))
    marker = {
        "color": np.round(values, 3).tolist(),
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": "log10 energy"}},
    }
    text = [f"{value:.3g}" for value in event.energy.tolist()]
    return _trace(event, np.arange(len(event)), name="energy", marker=marker, text=text, showlegend=False)


def _by_instance(event: Event) -> dict[str, Any]:
    instance = event.labels["instance"]
    colours = [
        NEUTRAL if value < 0 else _INSTANCE_COLOURS[value % len(_INSTANCE_COLOURS)] for value in instance.tolist()
    ]
    text = [str(value) for value in instance.tolist()]
    return _trace(event, np.arange(len(event)), name="instance", marker={"color": colours}, text=text, showlegend=False)

"""Windows of frames side by side: counts, true light, probability, and the clusters of either method."""

from __future__ import annotations

from typing import Any

import numpy as np

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note
from lartpc_sparse.report.charts import Spec
from lartpc_sparse.report.metrics_file import matrix

__all__ = ["window_blocks"]

_CLUSTER_SCALE = [[0, "#f0f0f0"], [0.5, "#f0f0f0"], [0.5, "#0072b2"], [1, "#0072b2"]]


def window_blocks(examples: Any) -> list[Block]:
    """One row of figures for every window; nothing when there are none."""
    blocks: list[Block] = []
    for window in examples if isinstance(examples, list) else []:
        figures = _figures(window) if isinstance(window, dict) else ()
        if figures:
            blocks += [Note(_title(window)), FigureGrid(figures, columns="narrow")]
    return blocks


def _title(window: dict[str, Any]) -> str:
    kind = "nuclear" if window.get("nuclear") else "electron"
    return (
        f"{kind.capitalize()} recoil of {window.get('energy_kev', 0):g} keV, frame {window.get('file_entry')}, window "
        f"from row {window.get('row')}, column {window.get('column')} of the sensor. It is the first of its kind and "
        "energy, not chosen."
    )


def _figures(window: dict[str, Any]) -> tuple[Figure, ...]:
    frame = _image(window.get("frame"))
    if frame is None:
        return ()
    noise = float(1.4826 * np.median(np.abs(frame - np.median(frame))))
    panels = [Figure("Frame", _heatmap(frame, -2 * noise, max(8 * noise, 1e-3), "Viridis"), height=300)]
    light = _image(window.get("light"))
    if light is not None:
        top = max(float(light.max()), 1e-3)
        panels.append(Figure("True light", _heatmap(light, 0, min(top, max(8 * noise, 1e-3)), "Viridis"), height=300))
    probability = _image(window.get("probability"))
    if probability is not None:
        panels.append(Figure("Signal probability", _heatmap(probability, 0, 1, "Viridis"), height=300))
    clusters = window.get("clusters")
    for name, values in clusters.items() if isinstance(clusters, dict) else ():
        image = _image(values)
        if image is not None:
            title = {"network": "Clusters, network", "classical": "Clusters, classical chain"}.get(name, str(name))
            number = len(np.unique(image[image >= 0]))
            spec = _heatmap((image >= 0).astype(float), 0, 1, _CLUSTER_SCALE)
            panels.append(Figure(title, spec, f"{number} in this window", height=300))
    return tuple(panels)


def _image(value: Any) -> np.ndarray | None:
    return matrix(value, len(value)) if isinstance(value, list) and value else None


def _heatmap(image: np.ndarray, low: float, high: float, colours: Any) -> Spec:
    data = {
        "type": "heatmap",
        "z": image.tolist(),
        "zmin": low,
        "zmax": high,
        "colorscale": colours,
        "showscale": False,
        "hovertemplate": "%{z}<extra></extra>",
    }
    hidden = {"visible": False}
    layout = {
        "xaxis": {**hidden, "constrain": "domain"},
        "yaxis": {**hidden, "scaleanchor": "x", "constrain": "domain"},
        "margin": {"l": 4, "r": 4, "t": 4, "b": 4},
    }
    return {"data": [data], "layout": layout}

"""The section of a signal head: recoils found, fakes, integrals and times of the network beside the classical chain."""

from __future__ import annotations

from typing import Any

import numpy as np

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Section, Table
from lartpc_sparse.report.charts import Spec, axis, rounded
from lartpc_sparse.report.frame_windows import window_blocks
from lartpc_sparse.report.metrics_file import lookup
from lartpc_sparse.report.palette import TRAIN, VALIDATION
from lartpc_sparse.report.text import anchor, as_float, count, decimal, percent

__all__ = ["signal_headlines", "signal_section"]

_TITLES = {"network": "network", "classical": "classical chain"}
_COLOURS = {"network": TRAIN, "classical": VALIDATION}
_KINDS = (("nuclear", "nuclear recoils"), ("electron", "electron recoils"))


def signal_headlines(metrics: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Quantity, value and meaning of the head's headline numbers."""
    rows = [
        ("pixel recall", percent(lookup(metrics, "pixels", "recall")), "signal pixels that are selected"),
        ("pixel precision", percent(lookup(metrics, "pixels", "precision")), "selected pixels that are signal"),
    ]
    for name, method in _methods(metrics).items():
        title = _TITLES.get(name, name)
        rows += [
            (f"recoils found, {title}", _share(lookup(method, "recoils")), "all energies of the sample together"),
            (f"fakes an image, {title}", decimal(method.get("fakes_per_image"), 2), "clusters that hold no recoil"),
            (f"pixels clustered, {title}", count(_whole(method.get("pixels_to_clustering"))), "of an image, mean"),
        ]
    return tuple(rows)


def signal_section(name: str, metrics: dict[str, Any]) -> Section:
    """Figures and tables of one signal head."""
    methods = _methods(metrics)
    blocks: list[Block] = []
    if methods:
        blocks.append(_comparison(methods))
        figures = [figure for kind, title in _KINDS for figure in _figures(methods, kind, title)]
        if figures:
            blocks.append(FigureGrid(tuple(figures)))
        blocks += [table for kind, title in _KINDS if (table := _energies(methods, kind, title)) is not None]
    blocks += window_blocks(metrics.get("examples"))
    if not blocks:
        blocks.append(Note("There are no recoils with a known truth."))
    return Section(anchor("head", name), f"Pixel selection: {name}", tuple(blocks), _lead(metrics, methods))


def _lead(metrics: dict[str, Any], methods: dict[str, Any]) -> str:
    level = as_float(metrics.get("level"))
    lead = "A recoil is found when one cluster holds enough of its light and is not mostly noise."
    if level is not None:
        lead += f" In brackets, and as bars: exact binomial (Clopper-Pearson) intervals of {100 * level:.0f}\u2009%."
    if len(methods) > 1:
        lead += " Both methods saw the same frames in the same run."
    return lead


def _methods(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = metrics.get("methods")
    return {str(name): one for name, one in found.items() if isinstance(one, dict)} if isinstance(found, dict) else {}


def _whole(value: Any) -> int | None:
    number = as_float(value)
    return None if number is None else round(number)


def _share(value: Any) -> str:
    """`95.1 % [93.0, 96.8]`."""
    middle, low, high = (as_float(lookup(value, key)) for key in ("value", "low", "high"))
    if middle is None:
        return percent(None)
    text = f"{100 * middle:.1f}\u2009%"
    return text if low is None or high is None else f"{text} [{100 * low:.1f}, {100 * high:.1f}]"


def _comparison(methods: dict[str, dict[str, Any]]) -> Table:
    header = ("", *(_TITLES.get(name, name) for name in methods))
    rows: list[tuple[str, ...]] = [
        ("images", *(count(method.get("images")) for method in methods.values())),
        ("recoils found", *(_share(method.get("recoils")) for method in methods.values())),
        ("fakes an image", *(decimal(method.get("fakes_per_image"), 2) for method in methods.values())),
        ("clusters an image", *(decimal(method.get("clusters_per_image"), 1) for method in methods.values())),
        ("pixels sent to clustering", *(count(_whole(one.get("pixels_to_clustering"))) for one in methods.values())),
    ]
    stages = {stage: None for one in methods.values() for stage in (lookup(one, "seconds") or {}) if stage != "total"}
    for stage in (*stages, "total"):
        cells = [as_float(lookup(method, "seconds", stage)) for method in methods.values()]
        shown = ("" if cell is None else f"{1000 * cell:.1f} ms" for cell in cells)
        rows.append((f"time: {stage.replace('_', ' ')}", *shown))
    return Table("An image on average", header, tuple(rows))


def _figures(methods: dict[str, dict[str, Any]], kind: str, title: str) -> list[Figure]:
    efficiency: list[Spec] = []
    ratio: list[Spec] = []
    for name, method in methods.items():
        rows = [row for row in method.get(kind) or () if as_float(lookup(row, "efficiency", "value")) is not None]
        if not rows:
            continue
        energy = np.array([row["energy_kev"] for row in rows], dtype=np.float64)
        value, low, high = (
            np.array([row["efficiency"][key] for row in rows], dtype=np.float64) for key in ("value", "low", "high")
        )
        efficiency.append(_points(name, energy, value, high - value, value - low))
        known = [row for row in rows if as_float(row.get("ratio_median")) is not None]
        middle = np.array([row["ratio_median"] for row in known], dtype=np.float64)
        half = np.array([row["ratio_half_width_68"] for row in known], dtype=np.float64)
        at = np.array([row["energy_kev"] for row in known], dtype=np.float64)
        ratio.append(_points(name, at, middle, half, half))
    if not efficiency:
        return []
    energies = axis("energy (keV)", type="log")
    unit = {"shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": {"dash": "dot"}}]}
    return [
        Figure(
            f"Efficiency, {title}",
            {"data": efficiency, "layout": {"xaxis": energies, "yaxis": axis("recoils found", range=[0, 1.03])}},
        ),
        Figure(
            f"Cluster integral / true integral, {title}",
            {"data": ratio, "layout": {"xaxis": energies, "yaxis": axis("median ratio", rangemode="tozero"), **unit}},
            "Of the recoils that were found. Bars: 68\u2009% half width of the distribution.",
        ),
    ]


def _points(name: str, x: np.ndarray, y: np.ndarray, up: np.ndarray, down: np.ndarray) -> Spec:
    colour = _COLOURS.get(name, TRAIN)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": _TITLES.get(name, name),
        "x": rounded(x * (0.985 if name == "network" else 1.015)),  # side by side, so that bars do not cover each other
        "y": rounded(y),
        "error_y": {"type": "data", "array": rounded(up), "arrayminus": rounded(down), "thickness": 1.2},
        "line": {"color": colour, "width": 2},
        "marker": {"size": 6, "color": colour},
    }


def _energies(methods: dict[str, dict[str, Any]], kind: str, title: str) -> Table | None:
    by_energy: dict[float, dict[str, dict[str, Any]]] = {}
    for name, method in methods.items():
        for row in method.get(kind) or ():
            by_energy.setdefault(float(row["energy_kev"]), {})[name] = row
    if not by_energy:
        return None
    header = ["energy (keV)", "recoils"]
    for name in methods:
        header += [f"found, {_TITLES.get(name, name)}", f"integral ratio, {_TITLES.get(name, name)}"]
    rows = []
    for energy, found in sorted(by_energy.items()):
        cells = [f"{energy:g}", count(lookup(next(iter(found.values())), "efficiency", "n"))]
        for name in methods:
            row = found.get(name, {})
            middle, half = row.get("ratio_median"), row.get("ratio_half_width_68")
            cells += [_share(row.get("efficiency")), f"{decimal(middle, 2)} ± {decimal(half, 2)}"]
        rows.append(tuple(cells))
    return Table(title.capitalize(), tuple(header), tuple(rows))

"""The network's clusters against those of the baselines: tables with intervals, and where it is better or worse."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.report.blocks import Block, FigureGrid, Note, Table, Tabs
from lartpc_sparse.report.metrics_file import lookup
from lartpc_sparse.report.palette import class_colours
from lartpc_sparse.report.text import MISSING, as_float, count, decimal

__all__ = ["SEMANTICS", "comparison_blocks", "decoding_time", "method_title"]

SEMANTICS = {"predicted": "predicted semantics", "true": "true semantics"}
_EVENT = {"ari": "ARI", "purity": "purity", "efficiency": "efficiency", "sbd": "SBD"}
_PARTICLE = {
    "particles_ari": "ARI of the event",
    "particles_dice": "Dice",
    "particles_jaccard": "Jaccard",
    "particles_efficiency": "efficiency",
    "particles_purity": "purity",
}
_METHODS = {"network": "network", "connected_components": "connected components", "dbscan": "DBSCAN"}


def method_title(method: str) -> str:
    """A way of clustering in words."""
    return _METHODS.get(method, method.replace("_", " "))


def comparison_blocks(metrics: dict[str, Any]) -> list[Block]:
    """Tables of means over events and of shares of particles, for each kind of semantics."""
    cut = decimal(metrics.get("cut"), 2)
    views: list[tuple[str, tuple[Table | Note | FigureGrid, ...]]] = []
    for key, title in SEMANTICS.items():
        classes = lookup(metrics, "comparison", key)
        if not isinstance(classes, dict) or not classes:
            continue
        tables = [
            _table("Mean over the events that have the class, with 68\u2009% intervals", classes, _EVENT),
            _table(f"Share of the particles with a score above {cut}, with 68\u2009% intervals", classes, _PARTICLE),
        ]
        views.append((title, (Note(_verdicts(classes)), *(table for table in tables if table.rows))))
    return [Tabs(tuple(views))] if views else []


def decoding_time(metrics: dict[str, Any]) -> str:
    """A sentence about the time of the decoding; empty when it is not known."""
    seconds = metrics.get("decode_seconds")
    if as_float(lookup(seconds, "mean")) is None:
        return ""

    def ms(*keys: str) -> str:
        value = as_float(lookup(seconds, *keys))
        return MISSING if value is None else f"{1e3 * value:.3g}"

    return (
        f"Decoding took {ms('mean')} ms an event on average over {count(lookup(seconds, 'events'))} events (median "
        f"{ms('quantiles', '0.5')}, 95\u2009% below {ms('quantiles', '0.95')}, longest {ms('max')} ms)."
    )


def _table(caption: str, classes: dict[str, Any], scores: dict[str, str]) -> Table:
    names = tuple(str(name) for name in classes)
    colours = dict(zip(names, class_colours(names), strict=True))
    methods = _methods(classes)
    rows: list[tuple[str, ...]] = []
    swatches: list[str | None] = []
    for name in names:
        for score, title in scores.items():
            found = lookup(classes, name, score, "methods")
            if not isinstance(found, dict) or not any(found.values()):
                continue
            cells = (_with_limits(found.get(method)) for method in methods)
            rows.append((name, title, _against(lookup(classes, name, score, "network_minus")), *cells))
            swatches.append(colours[name])
    header = ("class", "score", "network - better baseline", *map(method_title, methods))
    return Table(caption, header, tuple(rows), tuple(swatches), text_columns=2)


def _methods(classes: dict[str, Any]) -> tuple[str, ...]:
    found = dict.fromkeys(
        str(method)
        for scores in classes.values()
        for score in (scores.values() if isinstance(scores, dict) else ())
        for method in lookup(score, "methods") or ()
    )
    return tuple(sorted(found, key=lambda method: method != "network"))


def _with_limits(entry: Any, signed: bool = False) -> str:
    value, low, high = (as_float(lookup(entry, key)) for key in ("value", "low", "high"))
    if value is None:
        return MISSING
    sign = "+" if signed else ""
    text = f"{value:{sign}.3f}"
    return text if low is None or high is None else f"{text} ({low:{sign}.3f}, {high:{sign}.3f})"


def _better_baseline(differences: Any) -> tuple[str, Any] | None:
    """The baseline with the higher score, and the network's minus its score."""
    entries = differences.items() if isinstance(differences, dict) else ()
    known = [
        (value, str(name), entry) for name, entry in entries if (value := as_float(lookup(entry, "value"))) is not None
    ]
    if not known:
        return None
    _, name, entry = min(known, key=lambda one: one[0])
    return name, entry


def _against(differences: Any) -> str:
    found = _better_baseline(differences)
    return MISSING if found is None else f"{_with_limits(found[1], signed=True)} {_verdict(found[1])}"


def _verdict(entry: Any) -> str:
    low, high = as_float(lookup(entry, "low")), as_float(lookup(entry, "high"))
    if low is None or high is None:
        return ""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "equal"


def _verdicts(classes: dict[str, Any]) -> str:
    """Where the network is better and worse than the better baseline, in words."""
    sides: dict[str, list[str]] = {"better": [], "worse": []}
    compared = 0
    for name, scores in classes.items():
        for score, title in {**_EVENT, **{key: f"share by {own}" for key, own in _PARTICLE.items()}}.items():
            found = _better_baseline(lookup(scores, score, "network_minus"))
            if found is not None:
                compared += 1
                sides.setdefault(_verdict(found[1]), []).append(f"{name} {title}")
    if not compared:
        return "There is nothing to compare the network with."
    words = "; ".join(
        f"{side} ({len(sides[side])}): {', '.join(sides[side]) or 'none'}" for side in ("better", "worse")
    )
    return (
        f"The network against the better of the baselines, in {compared} classes and scores, beyond the 68\u2009% "
        f"interval of the difference on the same events: {words}. Equal elsewhere."
    )

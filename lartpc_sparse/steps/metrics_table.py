"""The headline metrics as a table for the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

__all__ = ["metrics_table"]


def metrics_table(metrics: dict[str, Any]) -> Table:
    """One row a quantity: head, quantity, value."""
    table = Table(title=f"{metrics.get('run', '')}: {metrics['events']} events, {metrics['voxels']} voxels")
    table.add_column("head")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    rows = {"semantic": _semantic, "spatial_embedding": _embedding, "inpaint": _inpaint}
    for name, head in metrics["heads"].items():
        for quantity, value in rows.get(head["kind"], lambda _: [])(head):
            table.add_row(name, quantity, "-" if value is None else f"{value:.3f}")
        table.add_section()
    return table


def _semantic(head: dict[str, Any]) -> list[tuple[str, float | None]]:
    rows: list[tuple[str, float | None]] = [("accuracy", head["accuracy"])]
    rows += [(f"recall {name}", scores["recall"]) for name, scores in head["per_class"].items()]
    if "track_shower" in head:
        rows.append(("accuracy track/shower", head["track_shower"]["accuracy"]))
    if "decisions" in head:
        clusters, events = head["decisions"]["cluster_decision"]["majority"], head["decisions"]["event_decision"]
        rows += [(f"shower-like clusters, {name}", clusters[name]["value"]) for name in ("efficiency", "purity")]
        rows += [(f"{events['names'][1]} events, {name}", events[name]["value"]) for name in ("efficiency", "purity")]
    return rows


def _embedding(head: dict[str, Any]) -> list[tuple[str, float | None]]:
    rows: list[tuple[str, float | None]] = []
    for source, by_class in head["semantics"].items():
        rows.append((f"mean ARI, {source} semantics", head["mean_ari"].get(source)))
        rows += [(f"ARI {name}, {source} semantics", scores["ari"]["mean"]) for name, scores in by_class.items()]
    rows.append(("mean ARI, connected components", head["mean_ari"].get("connected_components")))
    return rows


def _inpaint(head: dict[str, Any]) -> list[tuple[str, float | None]]:
    charge, nothing = head["charge"], head["baselines"]["nothing"]
    return [
        ("in-gap F1", head["f1"]),
        ("in-gap F1, nothing filled", nothing["f1"]),
        ("in-gap precision", head["precision"]),
        ("in-gap recall", head["recall"]),
        ("charge predicted / true, median", charge["median"]),
        ("relative charge error", charge["relative_error"]),
    ]

"""The headline metrics as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from lartpc_sparse.steps.semantic_rows import semantic_rows

__all__ = ["metrics_table"]


def metrics_table(metrics: dict[str, Any]) -> Table:
    """One row a quantity: head, quantity, value, and its 68 % interval where there is one."""
    table = Table(title=f"{metrics.get('run', '')}: {metrics['events']} events, {metrics['voxels']} voxels")
    table.add_column("head")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_column("68 % interval")
    for name, head in metrics["heads"].items():
        known = ROWS.get(head["kind"])
        for quantity, value, *interval in [] if known is None else known(head):
            table.add_row(name, quantity, "-" if value is None else f"{value:.3f}", *interval)
        table.add_section()
    return table


def _embedding(head: dict[str, Any]) -> list[tuple[str, float | None]]:
    rows: list[tuple[str, float | None]] = []
    for source, by_class in head["semantics"].items():
        rows.append((f"mean ARI, {source} semantics", head["mean_ari"].get(source)))
        rows += [(f"ARI {name}, {source} semantics", scores["ari"]["mean"]) for name, scores in by_class.items()]
    rows.append(("mean ARI, connected components", head["mean_ari"].get("connected_components")))
    return rows


def _signal(head: dict[str, Any]) -> list[tuple[str, float | None]]:
    rows: list[tuple[str, float | None]] = [
        ("pixel recall", head["pixels"]["recall"]),
        ("pixel precision", head["pixels"]["precision"]),
    ]
    for name, method in head["methods"].items():
        rows += [
            (f"recoils found, {name}", method["recoils"]["value"]),
            (f"fakes an image, {name}", method["fakes_per_image"]),
            (f"pixels clustered, {name}", method["pixels_to_clustering"]),
            (f"seconds an image, {name}", method["seconds"]["total"]),
        ]
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


ROWS: dict[str, Callable[[dict[str, Any]], Sequence[tuple[Any, ...]]]] = {
    "semantic": semantic_rows,
    "spatial_embedding": _embedding,
    "voxel_graph": _embedding,
    "inpaint": _inpaint,
    "signal": _signal,
}
"""The rows of each kind of head; one of another package has none."""

"""The section of a head this package has no figures for: its numbers in a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lartpc_sparse.report.blocks import Note, Section, Table
from lartpc_sparse.report.text import anchor, as_float

__all__ = ["other_section"]


def other_section(name: str, metrics: dict[str, Any]) -> Section:
    """Every single number of the head's metrics, nested names joined by slashes; lists are left out."""
    rows = tuple((key, f"{value:.6g}") for key, value in _scalars(metrics, ""))
    kind = str(metrics.get("kind", "unknown"))
    block = Table(f"Kind {kind}", ("quantity", "value"), rows) if rows else Note("There are no numbers.")
    return Section(anchor("head", name), f"Head: {name}", (block,))


def _scalars(metrics: dict[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in metrics.items():
        number = as_float(value)
        if number is not None:
            yield f"{prefix}{key}", number
        elif isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{key}/")

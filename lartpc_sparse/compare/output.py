"""A comparison as a table for the terminal, as JSON and as an HTML page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from lartpc_sparse.compare.comparison import Comparison, Variation
from lartpc_sparse.compare.statistics import TITLES, Estimate
from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Section, Table
from lartpc_sparse.report.charts import axis
from lartpc_sparse.report.page import Page, render_page, write_atomically
from lartpc_sparse.report.palette import FOUND, TRAIN, VALIDATION
from lartpc_sparse.report.text import MISSING, count, plain
from lartpc_sparse.yaml_config import dump_config

__all__ = ["comparison_table", "write_comparison"]

_PIXELS = ("voxels", "common", "changed", "changed_two")
_ACCURACIES = ("accuracy", "accuracy_two", "track_accuracy", "shower_accuracy")
_DECISIONS = ("clusters_flipped", "shower_clusters", "events_flipped")
_SIGNED = frozenset({*_ACCURACIES, "shower_clusters"})


def comparison_table(comparison: Comparison) -> RichTable:
    """One row a variation; in percent, with the ends of the 68 % interval below."""
    table = RichTable(title=f"{comparison.events} events, head {comparison.head}: percent, 68 % interval in brackets")
    table.add_column("variation", no_wrap=True)
    for title in TITLES.values():
        table.add_column(title, justify="right")
    for variation in comparison.variations:
        cells = [_cell(name, variation.estimates[name], "\n") for name in TITLES]
        table.add_row(Text(variation.name), *(Text(cell) for cell in cells))
    return table


def write_comparison(comparison: Comparison, output: Path) -> tuple[Path, Path]:
    """Write `<output>.json` and `<output>.html` (an .html or .json at the end of `output` is taken off).

    Returns:
        The two files.
    """
    stem = output.with_suffix("") if output.suffix in (".html", ".json") else output
    as_json, as_html = (stem.with_name(stem.name + suffix) for suffix in (".json", ".html"))
    write_atomically(as_json, json.dumps(comparison.to_json(), indent=1, allow_nan=False) + "\n")
    write_atomically(as_html, render_page(_page(comparison)))
    return as_json, as_html


def _page(comparison: Comparison) -> Page:
    made = comparison.to_json()
    events = count(comparison.events) + (f" ({count(comparison.skipped)} skipped)" if comparison.skipped else "")
    facts = (
        ("lartpc_sparse", str(made["lartpc_sparse_version"])),
        ("nominal sample", comparison.nominal),
        ("semantic head", comparison.head),
        ("events", events),
    )
    sections = [
        Section("voxels", "Voxels that change class", _blocks(comparison, _PIXELS, ("changed", "changed_two")), _LEAD),
        Section("accuracy", "Change in accuracy", _blocks(comparison, _ACCURACIES, _ACCURACIES[1:]), _ACCURACY_LEAD),
        Section(
            "decisions",
            "Change in decisions",
            _blocks(comparison, _DECISIONS, _DECISIONS),
            f"Clusters ({comparison.decisions.clusters.kind}) are matched by {comparison.matched_by}. A cluster is "
            f"shower-like from {comparison.decisions.cluster_fraction:g} of shower voxels on. Binomial intervals for "
            "flips, bootstrap over events for the change in the number of shower-like clusters.",
        ),
    ]
    return Page("Detector variations", facts, sections, (), "", dump_config(comparison.decisions))


_LEAD = (
    "Voxels are compared by coordinate where both samples have them; the share in common is that of the voxels that "
    "either sample has. Intervals are 68 %, by bootstrap over events."
)
_ACCURACY_LEAD = "Accuracy of the variation minus accuracy of the nominal sample, each over all its labelled voxels."


def _blocks(comparison: Comparison, names: Sequence[str], drawn: Sequence[str]) -> tuple[Block, ...]:
    rows = tuple(
        (variation.name, *(_cell(name, variation.estimates[name], " ") for name in names))
        for variation in comparison.variations
    )
    table = Table("", ("variation", *(f"{TITLES[name]}, %" for name in names)), rows)
    figure = _figure(comparison.variations, drawn)
    return (table, Note("None of these quantities is defined.") if figure is None else FigureGrid((figure,)))


def _figure(variations: Sequence[Variation], names: Sequence[str]) -> Figure | None:
    data: list[dict[str, Any]] = []
    for name, colour in zip(names, (TRAIN, VALIDATION, FOUND), strict=False):
        shown = [
            (variation.name, estimate)
            for variation in variations
            if (estimate := variation.estimates[name]).value is not None
        ]
        if shown:
            data.append(_points(TITLES[name], colour, shown))
    if not data:
        return None
    layout = {
        "xaxis": axis("%", zeroline=True),
        "yaxis": axis("", type="category", autorange="reversed"),
        "margin": {"l": 190},
    }
    return Figure("Value and 68 % interval", {"data": data, "layout": layout}, height=140 + 28 * len(variations))


def _points(title: str, colour: str, shown: Sequence[tuple[str, Estimate]]) -> dict[str, Any]:
    values = [100 * (estimate.value or 0.0) for _, estimate in shown]
    ends = [
        (value if estimate.low is None else 100 * estimate.low, value if estimate.high is None else 100 * estimate.high)
        for value, (_, estimate) in zip(values, shown, strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": title,
        "x": [round(value, 5) for value in values],
        "y": [plain(name) for name, _ in shown],
        "marker": {"color": colour, "size": 8},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [round(high - value, 5) for value, (_, high) in zip(values, ends, strict=True)],
            "arrayminus": [round(value - low, 5) for value, (low, _) in zip(values, ends, strict=True)],
            "color": colour,
            "thickness": 1.5,
        },
    }


def _cell(name: str, estimate: Estimate, between: str) -> str:
    if estimate.value is None:
        return MISSING
    form = "+.2f" if name in _SIGNED else ".2f"
    value = f"{100 * estimate.value:{form}}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value}{between}[{100 * estimate.low:{form}}, {100 * estimate.high:{form}}]"

"""The part of a clustering section about particles: showers, interactions, starts, directions, energies, types."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.report.blocks import Block, Table
from lartpc_sparse.report.metrics_file import lookup
from lartpc_sparse.report.text import MISSING, count, decimal, percent

__all__ = ["particle_blocks"]

_HOW = {"found": "particles", "not_grouped": "not grouped", "all_in_one": "all in one"}
_QUANTITIES = {
    "start_distance": "start, voxels off",
    "direction_deg": "direction, degrees off",
    "energy_ratio": "energy / energy in the image",
    "kinetic_ratio": "energy / kinetic energy",
}


def particle_blocks(particles: Any) -> tuple[Block, ...]:
    """Two tables; nothing when the head makes no particles or the events have no true ones."""
    if not isinstance(particles, dict):
        return ()
    grouping: list[tuple[str, ...]] = []
    matched: list[tuple[str, ...]] = []
    for semantics, scores in particles.items():
        title = f"{semantics} semantics"
        grouping += _grouping_rows(title, lookup(scores, "grouping"))
        matched += _matched_rows(title, lookup(scores, "matched"))
        matched += _proton_rows(title, lookup(scores, "proton_score"))
    blocks: list[Block] = []
    if grouping:
        header = ("grouping", "semantics", "method", "ARI", "purity", "efficiency", "SBD", "events")
        blocks.append(Table("Showers and interactions: mean over events", header, tuple(grouping), text_columns=3))
    if matched:
        columns = ("particles", "semantics", "quantity", "median", "middle 68\u2009%", "n")
        caption = "Particles matched with the true ones that they overlap most"
        blocks.append(Table(caption, columns, tuple(matched), text_columns=3))
    return tuple(blocks)


def _grouping_rows(title: str, grouping: Any) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for what, by_how in grouping.items() if isinstance(grouping, dict) else ():
        for how, name in _HOW.items():
            scores = lookup(by_how, how)
            if isinstance(scores, dict):
                cells = (decimal(lookup(scores, score)) for score in ("ari", "purity", "efficiency", "sbd"))
                rows.append((str(what), title, name, *cells, count(lookup(scores, "events"))))
    return rows


def _matched_rows(title: str, matched: Any) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, quantities in matched.items() if isinstance(matched, dict) else ():
        for key, words in _QUANTITIES.items():
            found = lookup(quantities, key)
            if lookup(found, "n"):
                low, median, high = (decimal(lookup(found, part), 2) for part in ("low", "median", "high"))
                rows.append((str(name), title, words, median, f"{low} to {high}", count(lookup(found, "n"))))
    return rows


def _proton_rows(title: str, scores: Any) -> list[tuple[str, ...]]:
    area = decimal(lookup(scores, "auc"))
    if area == MISSING:
        return []
    shares = (percent(lookup(scores, part, "value"), 1) for part in ("efficiency", "mistag"))
    words = "proton score: area under the curve; protons and others above 0.5"
    return [("track", title, words, area, " and ".join(shares), count(lookup(scores, "n")))]

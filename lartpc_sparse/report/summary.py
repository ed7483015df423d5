"""The head of the page: which run this is, and its headline numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lartpc_sparse.report.blocks import Note, Section, Table
from lartpc_sparse.report.clustering_section import clustering_headlines, clustering_section
from lartpc_sparse.report.inpainting_section import inpainting_headlines, inpainting_section
from lartpc_sparse.report.metrics_file import heads_of
from lartpc_sparse.report.other_section import other_section
from lartpc_sparse.report.semantic_section import semantic_headlines, semantic_section
from lartpc_sparse.report.signal_section import signal_headlines, signal_section
from lartpc_sparse.report.text import MISSING, count

__all__ = ["facts", "head_section", "summary_section"]

Headlines = Callable[[dict[str, Any]], tuple[tuple[str, str, str], ...]]
_HEADLINES: dict[str, Headlines] = {
    "semantic": semantic_headlines,
    "spatial_embedding": clustering_headlines,
    "voxel_graph": clustering_headlines,
    "inpaint": inpainting_headlines,
    "signal": signal_headlines,
}
_SECTIONS: dict[str, Callable[[str, dict[str, Any]], Section]] = {
    "semantic": semantic_section,
    "spatial_embedding": clustering_section,
    "voxel_graph": clustering_section,
    "inpaint": inpainting_section,
    "signal": signal_section,
}


def facts(metrics: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Name and value of what identifies the run: version, commit, date, numbers of events and voxels."""

    def text(key: str) -> str:
        return str(metrics[key]) if metrics.get(key) is not None else MISSING

    events = count(metrics.get("events"))
    if metrics.get("skipped_events"):
        events += f" ({count(metrics['skipped_events'])} skipped)"
    return (
        ("lartpc_sparse", text("lartpc_sparse_version")),
        ("git", text("git_hash")),
        ("evaluated", text("created").replace("T", " ").replace("+00:00", " UTC")),
        ("events", events),
        ("voxels", count(metrics.get("voxels"))),
    )


def summary_section(metrics: dict[str, Any]) -> Section:
    """The table of the headline numbers of all heads; undefined ones are left out."""
    rows = [
        (name, *row)
        for name, head in heads_of(metrics).items()
        if (headlines := _HEADLINES.get(str(head.get("kind")))) is not None
        for row in headlines(head)
        if not row[1].startswith(MISSING)
    ]
    table = Table("", ("head", "quantity", "value", "meaning"), tuple(rows), text_columns=4)
    block = table if rows else Note("The evaluation gave no numbers: the events have no labels, or there are none.")
    return Section("summary", "Summary", (block,))


def head_section(name: str, metrics: dict[str, Any]) -> Section:
    """The section of one head, by its kind."""
    return _SECTIONS.get(str(metrics.get("kind")), other_section)(name, metrics)

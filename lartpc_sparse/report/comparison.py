"""The page that compares the variants of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lartpc_sparse.report.blocks import Block, Figure, FigureGrid, Note, Section, Table, Tabs
from lartpc_sparse.report.compared import SEED, Compared, Group, grouped, keys_of
from lartpc_sparse.report.comparison_charts import bars_with_points, points_with_mean
from lartpc_sparse.report.page import Page, render_page, write_atomically
from lartpc_sparse.report.text import MISSING, anchor, decimal

__all__ = ["short_title", "with_spread", "write_comparison"]

_DIGITS = 4


def write_comparison(
    output: Path, *, title: str, runs: Sequence[Compared], facts: tuple[tuple[str, str], ...], chain: str
) -> Path:
    """Writes the page, which replaces an existing one only when it is complete.

    Args:
        output: the HTML file.
        title: of the page.
        runs: in the order in which they are shown; at least one.
        facts: name and value of what identifies the chain.
        chain: its text, shown at the end.

    Returns:
        The file written.
    """
    groups = grouped(runs)
    sections = [_variants(runs), *_figures(groups), *_tables(groups)]
    page = Page(title, facts, sections, (), "", chain, "The chain with all its variants")
    write_atomically(output, render_page(page))
    return output


def with_spread(group: Group, key: str, digits: int = _DIGITS) -> str:
    """The mean, with the spread when there are several runs: `0.9621 ± 0.0012`."""
    spread = group.spread(key)
    mean = decimal(group.mean(key), digits)
    return mean if spread is None else f"{mean} ± {decimal(spread, digits)}"


def short_title(key: str, keys: Sequence[str]) -> str:
    """The key without the head's name when there is one head only."""
    heads = {other.partition(": ")[0] for other in keys}
    return key if len(heads) > 1 else key.partition(": ")[2]


def _variants(runs: Sequence[Compared]) -> Section:
    keys = keys_of(runs, main=True)
    header = ("variant", "status", *(short_title(key, keys) for key in keys))
    rows = tuple((run.name, run.status, *(decimal(run.value(key), _DIGITS) for key in keys)) for run in runs)
    links = tuple(run.report for run in runs)
    blocks: list[Block] = [Table("", header, rows, text_columns=2, links=links)]
    groups = grouped(runs)
    if any(len(group.members) > 1 for group in groups) and keys:
        caption = f"Mean over {SEED} ± sample standard deviation (n − 1) of single runs"
        mean_rows = tuple(
            (group.name, str(len(group.values(keys[0]))), *(with_spread(group, key) for key in keys))
            for group in groups
        )
        blocks.append(Table(caption, (_group_header(groups), "runs", *header[2:]), mean_rows))
    if not keys:
        blocks.append(Note("No variant has been evaluated yet."))
    return Section("summary", "Summary", tuple(blocks), "Each name leads to the report of the variant.")


def _group_header(groups: Sequence[Group]) -> str:
    return ", ".join(groups[0].labels) or "variant"


def _figures(groups: Sequence[Group]) -> list[Section]:
    runs = [run for group in groups for run in group.members]
    keys = keys_of(runs, main=True)
    if not keys:
        return []
    views = []
    for name, draw in (("from zero", bars_with_points), ("zoomed", points_with_mean)):
        titles = {key: short_title(key, keys) for key in keys}
        figures = tuple(Figure(title, draw(groups, key, title), height=300) for key, title in titles.items())
        views.append((name, (FigureGrid(figures, columns="narrow"),)))
    lead = "A point is a run; bars and short lines are means, whiskers the spread of single runs."
    return [Section("figures", "By variant", (Tabs(tuple(views)),), lead)]


def _tables(groups: Sequence[Group]) -> list[Section]:
    """All numbers, a section a head: quantities down, groups across."""
    runs = [run for group in groups for run in group.members]
    by_head: dict[str, dict[str, str]] = {}
    for number in (number for run in runs for number in run.numbers):
        by_head.setdefault(number.head, {})[number.key] = number.quantity
    sections = []
    for head, quantities in by_head.items():
        rows = tuple(
            (quantity, *(with_spread(group, key) if group.values(key) else MISSING for group in groups))
            for key, quantity in quantities.items()
        )
        header = (_group_header(groups), *(group.name for group in groups))
        sections.append(Section(anchor("head", head), f"All numbers: {head}", (Table("", header, rows),)))
    return sections

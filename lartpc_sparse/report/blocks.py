"""What a section of the page is made of: tables, notes, figures and tabs, as immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["Block", "Figure", "FigureGrid", "Note", "Section", "Table", "Tabs"]


@dataclass(frozen=True)
class Table:
    """A table of text cells; the first column is the row's name.

    Attributes:
        caption: one line above the table.
        header: names of the columns.
        rows: cells, as many a row as the header has names.
        swatches: a colour (`#rrggbb`) in front of each row's name, or nothing.
        text_columns: number of columns from the left that hold words, not numbers.
        links: what each row's name links to, or nothing.

    Raises:
        ValueError: a row has another number of cells than the header.
    """

    kind: ClassVar[str] = "table"
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    swatches: tuple[str | None, ...] = ()
    text_columns: int = 1
    links: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.header)]
        if wrong:
            raise ValueError(f"table {self.caption!r}: {len(self.header)} columns but the row {wrong[0]}")

    def swatch(self, row: int) -> str | None:
        """The colour of a row, None where there is none."""
        return self.swatches[row] if row < len(self.swatches) else None

    def link(self, row: int) -> str | None:
        """What the name of a row links to, None where there is nothing."""
        return self.links[row] if row < len(self.links) else None


@dataclass(frozen=True)
class Note:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Figure:
    """A plotly figure: `spec` has `data` and `layout`; the page adds fonts and the colours of the scheme."""

    title: str
    spec: Mapping[str, Any]
    caption: str = ""
    height: int = 320


@dataclass(frozen=True)
class FigureGrid:
    """Figures side by side, as many a row as fit.

    Attributes:
        figures: in reading order.
        log_switch: offer a switch for logarithmic y axes.
        columns: `wide` (two a row at most) or `narrow` (three or four).
    """

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]
    log_switch: bool = False
    columns: str = "wide"


@dataclass(frozen=True)
class Tabs:
    """Alternative views, one shown at a time; the first at the start."""

    kind: ClassVar[str] = "tabs"
    views: tuple[tuple[str, tuple[Table | Note | FigureGrid, ...]], ...]


Block = Table | Note | FigureGrid | Tabs


@dataclass(frozen=True)
class Section:
    """A heading with its blocks; `anchor` is unique in the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""

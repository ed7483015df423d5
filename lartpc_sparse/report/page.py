"""From sections and displays to one HTML file that needs no network."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from lartpc_sparse.report.blocks import Section
from lartpc_sparse.report.displays import Display

__all__ = ["Page", "render_page", "write_atomically"]


@dataclass(frozen=True)
class Page:
    """Everything the template shows.

    Attributes:
        title: the run's name.
        facts: name and value of what identifies the run.
        sections: in reading order; the first is the summary.
        displays: event displays, after the sections.
        display_note: how the events were chosen, or why there are none; empty: a page that has no displays.
        config_yaml: the resolved configuration.
        config_title: what it is.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: Sequence[Section]
    displays: Sequence[Display]
    display_note: str
    config_yaml: str
    config_title: str = "The resolved configuration of the run"

    @property
    def views(self) -> tuple[str, ...]:
        """Titles of all views that some display has, in order."""
        return tuple(dict.fromkeys(view for display in self.displays for view in display.views))


def render_page(page: Page) -> str:
    """The HTML text: styles, scripts, plotly.js and data inside, user text escaped.

    A Content-Security-Policy in the page forbids every request to a network and every script that is not
    marked with the page's own random nonce.
    """
    environment = Environment(
        loader=PackageLoader("lartpc_sparse.report", package_path=""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    return template.render(page=page, plotly_js=get_plotlyjs(), nonce=secrets.token_urlsafe(16))


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file that appears under its name only when it is complete; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

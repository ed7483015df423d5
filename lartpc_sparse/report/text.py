"""Numbers and names as text for tables and figures."""

from __future__ import annotations

import html
import math
import re
from typing import Any

__all__ = ["MISSING", "anchor", "as_float", "count", "decimal", "percent", "plain"]

MISSING = "–"


def as_float(value: Any) -> float | None:
    """The value as a finite float; None when it is missing, not a number, NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def percent(value: Any, digits: int = 1) -> str:
    """A fraction as a percentage: 0.9612 -> `96.1 %`."""
    number = as_float(value)
    return MISSING if number is None else f"{100 * number:.{digits}f}\u2009%"


def decimal(value: Any, digits: int = 3) -> str:
    """A number with fixed decimals: 0.9612 -> `0.961`."""
    number = as_float(value)
    return MISSING if number is None else f"{number:.{digits}f}"


def count(value: Any) -> str:
    """A whole number with thin spaces between the thousands: 12345 -> `12 345`."""
    number = as_float(value)
    return MISSING if number is None else f"{round(number):,}".replace(",", "\u2009")


def plain(name: str) -> str:
    """A user's name as literal text for plotly, which reads some HTML tags and `%{...}` in its labels."""
    return html.escape(name, quote=False).replace("%{", "%\u200b{")


def anchor(*parts: str) -> str:
    """A name for a place in the page, of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-") or "section"

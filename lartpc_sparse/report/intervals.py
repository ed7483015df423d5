"""Intervals of scores, beside the scores."""

from __future__ import annotations

from typing import Any

from lartpc_sparse.report.metrics_file import lookup
from lartpc_sparse.report.text import MISSING, as_float, percent

__all__ = ["limits_of", "with_limits"]

Limits = tuple[float, float] | None


def limits_of(metrics: Any, *keys: str, level: str = "68") -> Limits:
    """The interval of the score under the given keys; None where there is none."""
    found = lookup(metrics, "intervals", *keys, level)
    values = [as_float(value) for value in found] if isinstance(found, list) else []
    if len(values) != 2 or values[0] is None or values[1] is None:
        return None
    return values[0], values[1]


def with_limits(value: Any, limits: Limits, digits: int = 2) -> str:
    """A fraction as a percentage with its interval: `97.12 % (96.95 to 97.27)`."""
    text = percent(value, digits)
    if limits is None or text == MISSING:
        return text
    low, high = (f"{100 * limit:.{digits}f}" for limit in limits)
    return f"{text} ({low}–{high})"

"""Reading `metrics.json`, of which any value may be null or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from lartpc_sparse.schema import UserError

__all__ = ["heads_of", "lookup", "matrix", "names", "numbers", "paired", "read_metrics"]


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics of a run.

    Raises:
        UserError: the file is missing or is no JSON object.
    """
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the step `evaluate` before `report`") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); run the step `evaluate` again") from error
    if not isinstance(metrics, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(metrics).__name__}")
    return metrics


def heads_of(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The metrics of each head by the head's name, heads without metrics left out."""
    heads = metrics.get("heads")
    if not isinstance(heads, dict):
        return {}
    return {str(name): head for name, head in heads.items() if isinstance(head, dict)}


def lookup(value: Any, *keys: str) -> Any:
    """The value under nested keys; None when one of them is missing or null."""
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def names(value: Any) -> tuple[str, ...]:
    """A list of names; empty when missing."""
    return tuple(str(name) for name in value) if isinstance(value, list) else ()


def _floats(value: Any) -> Float64[np.ndarray, " N"]:
    entries = value if isinstance(value, list) else []
    return np.array([entry if isinstance(entry, int | float) else np.nan for entry in entries], dtype=np.float64)


def numbers(value: Any) -> Float64[np.ndarray, " N"]:
    """A list of numbers without its null, NaN and infinite entries; empty when missing."""
    floats = _floats(value)
    return np.asarray(floats[np.isfinite(floats)], dtype=np.float64)


def paired(first: Any, second: Any) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Two aligned lists, the entries kept where both are finite; empty when their lengths disagree."""
    a, b = _floats(first), _floats(second)
    if len(a) != len(b):
        return np.empty(0), np.empty(0)
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def matrix(value: Any, rows: int) -> Float64[np.ndarray, "R C"] | None:
    """A rectangular table of finite numbers with the given number of rows; None when it is not one."""
    if not isinstance(value, list) or len(value) != rows or rows == 0:
        return None
    table = [_floats(row) for row in value]
    if len({len(row) for row in table}) != 1 or not len(table[0]) or not np.isfinite(table).all():
        return None
    return np.stack(table)

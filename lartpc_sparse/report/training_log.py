"""The curves of a training: reading the CSV log, smoothing and thinning."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lartpc_sparse.schema import UserError

__all__ = ["Curve", "TrainingLog", "read_training_log", "running_mean", "thinned_rows"]


@dataclass(frozen=True)
class Curve:
    """One column of the log: values against the optimiser step, in step order.

    Attributes:
        steps: optimiser step, increasing, no repeats.
        values: finite values.
        dropped: number of NaN and infinite values that were left out.
    """

    steps: Float64[np.ndarray, " N"]
    values: Float64[np.ndarray, " N"]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class TrainingLog:
    """All curves of a training by column name, columns without a value left out."""

    curves: Mapping[str, Curve]

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms without `train/` and `val/`, the total `loss` first, then in file order."""
        found = dict.fromkeys(name.partition("/")[2] for name in self.curves if name.startswith(("train/", "val/")))
        return tuple(sorted(found, key=lambda name: name != "loss"))

    def curve(self, name: str) -> Curve | None:
        """The column's curve, None when the log has no value of it."""
        return self.curves.get(name)


def read_training_log(path: Path) -> TrainingLog:
    """The curves of a CSV log with a column `step`; empty cells are rows without a value.

    A step that occurs twice (a training that was resumed) keeps its last value.

    Raises:
        UserError: no such file, no column `step`, or a cell that is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the step `train`, or report without a training log") from error
    if not rows:
        return TrainingLog({})
    if "step" not in rows[0]:
        raise UserError(f"{path}: no column `step`; found {', '.join(str(name) for name in rows[0])}")
    columns = [name for name in rows[0] if name and name != "step"]
    curves = {name: _curve(path, rows, name) for name in columns}
    return TrainingLog({name: curve for name, curve in curves.items() if len(curve) or curve.dropped})


def _curve(path: Path, rows: list[dict[str, str]], name: str) -> Curve:
    values: dict[float, float] = {}
    for line, row in enumerate(rows, start=2):
        if row["step"] and row[name]:
            try:
                values[float(row["step"])] = float(row[name])
            except ValueError as error:
                raise UserError(f"{path} line {line}, column {name}: {error}") from error
    steps = np.array(sorted(values), dtype=np.float64)
    found = np.array([values[step] for step in steps], dtype=np.float64)
    finite = np.isfinite(found)
    return Curve(steps[finite], found[finite], dropped=int((~finite).sum()))


def running_mean(values: Float64[np.ndarray, " N"], width: int) -> Float64[np.ndarray, " N"]:
    """Mean over a centred window of `width` values (odd), which shrinks at both ends.

    Raises:
        ValueError: width is even or below 1.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"width must be odd and at least 1, not {width}")
    half, n = width // 2, len(values)
    total = np.concatenate([[0.0], np.cumsum(values)])
    rows = np.arange(n)
    low, high = np.maximum(rows - half, 0), np.minimum(rows + half + 1, n)
    return np.asarray((total[high] - total[low]) / (high - low), dtype=np.float64)


def thinned_rows(n: int, limit: int) -> np.ndarray:
    """At most `limit` row numbers of 0..n-1, evenly spaced, the first and the last among them."""
    if n <= limit:
        return np.arange(n)
    return np.unique(np.linspace(0, n - 1, limit).round().astype(np.int64))

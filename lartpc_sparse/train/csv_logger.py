"""The training log as a CSV file that survives interruptions without gaps or repeats."""

from __future__ import annotations

import csv
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

__all__ = ["CsvLogger"]


class CsvLogger(Logger):
    """One row a logged step; columns appear as metrics do, empty cells where a row has no value.

    Lightning's own CSVLogger deletes the file when a run is resumed. This one keeps it: rows from
    `first_step` on, which the interrupted run wrote after its last checkpoint, are dropped, and the resumed run
    writes them again.

    Args:
        path: of the file.
        first_step: the step that this run begins with; 0 begins a new file.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path = path
        self._columns: list[str] = ["step", "epoch"]
        self._begin(first_step)

    @property
    def name(self) -> str:
        """See Lightning's Logger."""
        return "csv"

    @property
    def version(self) -> str:
        """See Lightning's Logger."""
        return ""

    @rank_zero_only
    def _begin(self, first_step: int) -> None:
        rows: list[dict[str, str]] = []
        if first_step > 0 and self.path.exists():
            with self.path.open(newline="") as file:
                reader = csv.DictReader(file)
                self._columns = list(reader.fieldnames or self._columns)
                rows = [row for row in reader if _complete(row) and int(row["step"]) < first_step]
        self._rewrite(rows)

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        partial = self.path.with_suffix(".csv.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        partial.replace(self.path)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row, flushed to the operating system at once."""
        row = {"step": str(step), **{name: f"{value:.8g}" for name, value in metrics.items()}}
        if "epoch" in metrics:
            row["epoch"] = str(int(metrics["epoch"]))
        new = [name for name in row if name not in self._columns]
        if new:
            with self.path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            self._columns += sorted(new)
            self._rewrite(rows)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(row)

    def sync(self) -> None:
        """Bring all rows to the disk."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The resolved configuration is a file of its own; nothing is logged here."""


def _complete(row: Mapping[str, str | None]) -> bool:
    """Whether a row was written to its end (a kill can cut the last one)."""
    return None not in row.values() and str(row["step"]).isdigit()

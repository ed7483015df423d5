"""The particles of all events as a CSV file beside the predictions."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np

from lartpc_sparse.data.prediction import Prediction

__all__ = ["ParticleCsv"]

_KEYS = ("file", "entry", "head", "semantics", "particle", "class")


class ParticleCsv:
    """Context manager: one row a particle; the file appears under its name only when complete.

    Columns: `file` and `entry` of the event, `head`, `semantics` (predicted or true) that the clusters were found
    with, `particle` (row in the event's table), `class` (name), then the columns of the table in the predictions file;
    vectors have one column an axis (`start_x`, ...). What is undefined is empty. Nothing is written without heads.

    Args:
        path: of the file.
        classes: class names of each head that makes particles, by its name.
        dim: number of axes.
    """

    def __init__(self, path: Path, classes: Mapping[str, tuple[str, ...]], dim: int) -> None:
        self._path, self._classes, self._axes = path, classes, "xyzw"[:dim]
        self._partial = path.with_name(path.name + ".partial")
        self._file: TextIO | None = None
        self._header: list[str] | None = None

    @property
    def wanted(self) -> bool:
        """Whether any head makes particles."""
        return bool(self._classes)

    def __enter__(self) -> ParticleCsv:
        if self._classes:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("w", newline="", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            self._path.unlink(missing_ok=True)  # of an earlier run with other heads
            return
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        self._partial.unlink(missing_ok=True)

    def write(self, prediction: Prediction) -> None:
        """Append the particles of one event."""
        if self._file is None:
            return
        writer = csv.writer(self._file)
        for head, names in self._classes.items():
            for ending, semantics in (("", "predicted"), ("_true_semantics", "true")):
                table = prediction.tables.get(f"{head}.particles{ending}")
                if table is None:
                    continue
                columns = self._flat(table)
                if self._header is None:
                    self._header = [*_KEYS, *columns]
                    writer.writerow(self._header)
                key = (prediction.key.file, prediction.key.entry, head, semantics)
                for row, number in enumerate(table["semantic"].tolist()):
                    name = names[number] if number >= 0 else ""
                    writer.writerow([*key, row, name, *(_cell(values[row]) for values in columns.values())])

    def _flat(self, table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        columns: dict[str, np.ndarray] = {}
        for name, values in table.items():
            if name == "semantic":
                continue
            if values.ndim == 1:
                columns[name] = values
            else:
                columns |= {f"{name}_{axis}": values[:, number] for number, axis in enumerate(self._axes)}
        return columns


def _cell(value: np.generic) -> str:
    if isinstance(value, np.floating):
        return f"{float(value):.6g}" if np.isfinite(value) else ""
    return str(value)

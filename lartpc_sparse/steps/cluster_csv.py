"""The pixel clusters of all events as a CSV file beside the predictions."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np

from lartpc_sparse.data.prediction import Prediction

__all__ = ["ClusterCsv"]


class ClusterCsv:
    """Context manager: one row a cluster; the file appears under its name only when complete.

    Columns: `file` and `entry` of the event, `head`, then those of the cluster table in the predictions file (see
    `lartpc_sparse.cluster.pixels`). Nothing is written without heads.

    Args:
        path: of the file.
        heads: names of the heads with a cluster table.
    """

    def __init__(self, path: Path, heads: tuple[str, ...]) -> None:
        self._path, self._heads = path, heads
        self._partial = path.with_name(path.name + ".partial")
        self._file: TextIO | None = None
        self._header = False

    def __enter__(self) -> ClusterCsv:
        if self._heads:
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
        """Append the clusters of one event."""
        if self._file is None:
            return
        writer = csv.writer(self._file)
        for head in self._heads:
            table = prediction.tables.get(head, {})
            if not table:
                continue
            if not self._header:
                writer.writerow(["file", "entry", "head", *table])
                self._header = True
            for row in range(len(next(iter(table.values())))):
                cells = (_cell(column[row]) for column in table.values())
                writer.writerow([prediction.key.file, prediction.key.entry, head, *cells])


def _cell(value: np.generic) -> str:
    return f"{float(value):.6g}" if isinstance(value, np.floating) else str(value)

"""A table of all events as a CSV file beside the predictions."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

import numpy as np

from lartpc_sparse.data.prediction import Prediction

__all__ = ["CsvTable"]

T = TypeVar("T", bound="CsvTable")


class CsvTable(ABC):
    """Context manager: the file appears under its name only when complete; unwanted, an older one is removed.

    Args:
        path: of the file.
        wanted: whether there is anything to write in this run.
    """

    def __init__(self, path: Path, *, wanted: bool) -> None:
        self.wanted = wanted
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: TextIO | None = None
        self._header = False

    @abstractmethod
    def tables(self, prediction: Prediction) -> Iterator[tuple[Mapping[str, Sequence[Any]], Mapping[str, np.ndarray]]]:
        """Tables of one event: the columns that name a row, then those with its values, all of one length."""

    def __enter__(self: T) -> T:
        if self.wanted:
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
        """Append the rows of one event; what is undefined is empty."""
        if self._file is None:
            return
        writer = csv.writer(self._file)
        for names, values in self.tables(prediction):
            if not self._header:
                writer.writerow(["file", "entry", *names, *values])
                self._header = True
            for row in range(len(next(iter(values.values())))):
                own = [column[row] for column in names.values()]
                cells = (_cell(column[row]) for column in values.values())
                writer.writerow([prediction.key.file, prediction.key.entry, *own, *cells])


def _cell(value: np.generic) -> str:
    if isinstance(value, np.floating):
        return f"{float(value):.6g}" if np.isfinite(value) else ""
    return str(value)

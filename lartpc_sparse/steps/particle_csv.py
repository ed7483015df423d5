"""The particles of all events as a CSV file beside the predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.steps.csv_table import CsvTable

__all__ = ["ParticleCsv"]


class ParticleCsv(CsvTable):
    """One row a particle.

    Columns: `file` and `entry` of the event, `head`, `semantics` (predicted or true) that the clusters were found
    with, `particle` (row in the event's table), `class` (name), then the columns of the table in the predictions file;
    vectors have one column an axis (`start_x`, ...). What is undefined is empty. Nothing is written without heads.

    Args:
        path: of the file.
        classes: class names of each head that makes particles, by its name.
        dim: number of axes.
    """

    def __init__(self, path: Path, classes: Mapping[str, tuple[str, ...]], dim: int) -> None:
        super().__init__(path, wanted=bool(classes))
        self._classes, self._axes = classes, "xyzw"[:dim]

    def tables(self, prediction: Prediction) -> Iterator[tuple[Mapping[str, Sequence[Any]], Mapping[str, np.ndarray]]]:
        """See `CsvTable.tables`."""
        for head, names in self._classes.items():
            for ending, semantics in (("", "predicted"), ("_true_semantics", "true")):
                table = prediction.tables.get(f"{head}.particles{ending}")
                if table is None:
                    continue
                classes = [names[number] if number >= 0 else "" for number in table["semantic"].tolist()]
                rows = len(classes)
                own = {"head": [head] * rows, "semantics": [semantics] * rows, "particle": range(rows)}
                yield {**own, "class": classes}, self._flat(table)

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

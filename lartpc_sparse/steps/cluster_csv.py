"""The pixel clusters of all events as a CSV file beside the predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.steps.csv_table import CsvTable

__all__ = ["ClusterCsv"]


class ClusterCsv(CsvTable):
    """One row a cluster.

    Columns: `file` and `entry` of the event, `head`, then those of the cluster table in the predictions file (see
    `lartpc_sparse.cluster.pixels`). Nothing is written without heads.

    Args:
        path: of the file.
        heads: names of the heads with a cluster table.
    """

    def __init__(self, path: Path, heads: tuple[str, ...]) -> None:
        super().__init__(path, wanted=bool(heads))
        self._heads = heads

    def tables(self, prediction: Prediction) -> Iterator[tuple[Mapping[str, Sequence[Any]], Mapping[str, np.ndarray]]]:
        """See `CsvTable.tables`."""
        for head in self._heads:
            table = prediction.tables.get(head, {})
            if table:
                yield {"head": [head] * len(next(iter(table.values())))}, table

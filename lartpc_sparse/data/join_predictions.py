"""Several predictions files into one, column by column: as fast as the disk, whatever the number of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from lartpc_sparse.data.growing_column import GrowingColumn
from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.jobs import replace_durably
from lartpc_sparse.schema import UserError

__all__ = ["join_predictions"]

_BLOCK_BYTES = 4 << 20
_VARIABLE = ("truth/", "voxels/", "tables/")
"""Data sets that a file lacks when all of its events were skipped."""


def join_predictions(parts: Sequence[Path], output: Path, advance: Callable[[int], None]) -> int:
    """Write the events of all parts, in order, into one file with the attributes of the first part.

    The result is what one `PredictionWriter` would have made of all events. It appears when it is complete.

    Args:
        parts: at least one; of one prediction.
        output: file to write.
        advance: called with the number of events of each part that is done.

    Returns:
        Number of events that were skipped.

    Raises:
        UserError: a part is damaged, or its columns differ from those of the others.
        OSError: the disk is full.
    """
    partial = output.with_name(output.name + ".partial")
    try:
        with h5py.File(partial, "w", rdcc_nbytes=0) as file:
            joined = _Joined(file, parts)
            for path in parts:
                advance(joined.add(path))
            joined.close()
        replace_durably(partial, output)
        return joined.skipped
    finally:
        partial.unlink(missing_ok=True)


class _Joined:
    """The columns of the joined file.

    Args:
        file: where they go.
        parts: whose layout they have.
    """

    def __init__(self, file: h5py.File, parts: Sequence[Path]) -> None:
        self._columns: dict[str, GrowingColumn] = {}
        self._ends: dict[str, int] = {}
        self.skipped = 0
        model = next((path for path in parts if _has_columns(path)), parts[0])
        with h5py.File(parts[0], "r") as first:
            file.attrs.update(first.attrs)
        for group in ("truth", "voxels", "tables"):
            file.create_group(group)
        with PredictionFile(model) as part:
            for name, data in part.data_sets.items():
                self._columns[name] = GrowingColumn(file, name, data.dtype, data.shape[1:])
                if _is_offsets(name):
                    self._columns[name].append(np.zeros(1, dtype=np.int64))
                    self._ends[name] = 0

    def add(self, path: Path) -> int:
        """Append a part; returns its number of events."""
        with PredictionFile(path) as part:
            found = part.data_sets
            own = {name for name in found if name.startswith(_VARIABLE)}
            if own and set(found) != set(self._columns):
                raise UserError(
                    f"{path} has other columns than the other parts: {sorted(set(found) ^ set(self._columns))}"
                )
            events, voxels = len(part), len(found["input/energy"])
            self.skipped += part.skipped
            for name, column in self._columns.items():
                if name in found:
                    self._copy(name, found[name], column)
                elif _is_offsets(name):
                    column.append(np.full(events, self._ends[name], dtype=np.int64))
                elif not name.startswith("tables/"):
                    column.append_missing(voxels)
        return events

    def _copy(self, name: str, data: h5py.Dataset, column: GrowingColumn) -> None:
        if data.dtype.kind != "O" and (data.dtype, data.shape[1:]) != (column.dtype, column.row_shape):
            raise UserError(f"{data.file.filename}: {name} has another type or shape than in the other parts")
        if _is_offsets(name):
            ends = data[1:] + self._ends[name]
            column.append(ends)
            self._ends[name] = int(ends[-1]) if len(ends) else self._ends[name]
            return
        rows = max(_BLOCK_BYTES // (data.dtype.itemsize * max(int(np.prod(data.shape[1:])), 1)), 1)
        source = data.asstr() if data.dtype.kind == "O" else data
        for first in range(0, len(data), rows):
            column.append(source[first : first + rows])

    def close(self) -> None:
        """Write what still waits."""
        for column in self._columns.values():
            column.close()


def _has_columns(path: Path) -> bool:
    with PredictionFile(path) as file:
        return any(name.startswith(_VARIABLE) for name in file.data_sets)


def _is_offsets(name: str) -> bool:
    return name == "offsets" or name.endswith("/offsets")

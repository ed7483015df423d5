"""One column of an HDF5 file, written row by row."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
from jaxtyping import Shaped

from lartpc_sparse.jobs import require_space

__all__ = ["GrowingColumn"]

CHUNK_ROWS = 16384
CHUNK_BYTES = 1 << 20
TEXT_CHUNK_ROWS = 1024


class GrowingColumn:
    """Appends rows to a new data set, blosc-lz4 packed; rows wait until they fill whole chunks.

    So no chunk is packed twice, and at most about a chunk (1 MiB or 16384 rows) waits in memory.

    Args:
        file: open for writing.
        path: of the data set.
        dtype: numbers, booleans, or object for text.
        row_shape: shape of one row, () for a plain column.
    """

    def __init__(self, file: h5py.File, path: str, dtype: np.dtype, row_shape: tuple[int, ...]) -> None:
        self.dtype, self.row_shape = dtype, row_shape
        is_text = dtype.kind == "O"
        row_bytes = max(1, dtype.itemsize * int(np.prod(row_shape)))
        # HDF5 does not pack text, so an unfinished chunk costs its full size.
        self._rows = int(np.clip(CHUNK_BYTES // row_bytes, 1, TEXT_CHUNK_ROWS if is_text else CHUNK_ROWS))
        packing = {} if is_text else dict(hdf5plugin.Blosc(cname="lz4", shuffle=hdf5plugin.Blosc.SHUFFLE))
        self._dataset = file.create_dataset(
            path,
            shape=(0, *row_shape),
            maxshape=(None, *row_shape),
            chunks=(self._rows, *(max(1, n) for n in row_shape)),
            dtype=h5py.string_dtype() if is_text else dtype,
            **packing,
        )
        self._waiting: list[Shaped[np.ndarray, "_ ..."]] = []
        self._count = 0

    def append(self, values: Shaped[np.ndarray, "_ ..."]) -> None:
        """Add rows at the end."""
        # A copy, because the rows may be a view of a whole batch that should not stay in memory with them.
        self._waiting.append(np.array(values, dtype=self.dtype))
        self._count += len(values)
        if self._count >= self._rows:
            self._write(self._count - self._count % self._rows)

    def append_missing(self, count: int) -> None:
        """Add rows that say: no value. -1 (signed integers), NaN (floats), else False or 0."""
        shape = (count, *self.row_shape)
        value = {"f": np.nan, "i": -1}.get(self.dtype.kind, 0)
        self.append(np.full(shape, value, dtype=self.dtype))

    def close(self) -> None:
        """Write the rows that still wait."""
        self._write(self._count)

    def _write(self, count: int) -> None:
        if count == 0:
            return
        values = np.concatenate(self._waiting)
        require_space(Path(self._dataset.file.filename), values.nbytes)
        start = len(self._dataset)
        self._dataset.resize(start + count, axis=0)
        self._dataset[start:] = values[:count]
        self._waiting = [values[count:].copy()]
        self._count -= count

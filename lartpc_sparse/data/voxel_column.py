"""One growing column of the project's own event file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import h5py
import hdf5plugin
import numpy as np

from lartpc_sparse.data.fast_zlib import crc32
from lartpc_sparse.jobs import require_space

__all__ = ["Compression", "VoxelColumn"]

Compression = Literal["lz4", "lz4hc", "none"]
"""lz4: Blosc, every chunk with a checksum of HDF5. lz4hc: the same, smaller and slower to write, as fast to read.
none: as the numbers are, every event with a checksum of ours."""
DIRECT_BYTES = 1 << 20
"""Of a chunk that is not compressed: larger than the reader's chunk cache, so that HDF5 reads just the rows wanted."""
DIRECT_TABLE_BYTES = 1 << 16
"""The same of a particle column: a table has many and is short, and the last chunk of each is padded."""


class VoxelColumn:
    """One growing data set; rows are kept back until whole chunks are full.

    Args:
        file: open for writing.
        name: of the data set.
        dtype: of the numbers as stored.
        shape: of a row.
        rows: of a compressed chunk.
        compression: none: chunks of DIRECT_BYTES, or DIRECT_TABLE_BYTES, instead.
    """

    def __init__(
        self,
        file: h5py.File,
        name: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        rows: int,
        *,
        compression: Compression = "lz4",
    ) -> None:
        filters: dict[str, Any] = {}
        if compression == "none":
            size = DIRECT_TABLE_BYTES if name.startswith("particles/") else DIRECT_BYTES
            rows = size // (dtype.itemsize * max(int(np.prod(shape)), 1)) + 1
        else:
            # Bits make floats and coordinates a quarter smaller at nearly the same speed; labels, which pack well
            # anyhow, are read a fifth faster with bytes.
            bits = dtype.kind == "f" or name == "coords"
            shuffle = hdf5plugin.Blosc.BITSHUFFLE if bits else hdf5plugin.Blosc.SHUFFLE
            level = 9 if compression == "lz4hc" else 5
            filters = {"fletcher32": True, **hdf5plugin.Blosc(cname=compression, clevel=level, shuffle=shuffle)}
        chunks = (rows, *(max(n, 1) for n in shape))
        self._data = file.create_dataset(
            name, shape=(0, *shape), maxshape=(None, *shape), dtype=dtype, chunks=chunks, **filters
        )
        self._chunk_rows = rows
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0

    def append(self, rows: np.ndarray) -> int:
        """Add rows, converted to the type of the data set; returns the CRC-32 of what is stored."""
        stored = np.array(rows, dtype=self._data.dtype, order="C")
        self._waiting.append(stored)
        self._num_waiting += len(rows)
        if self._num_waiting >= self._chunk_rows:
            self.flush(self._num_waiting - self._num_waiting % self._chunk_rows)
        return crc32(stored)

    def flush(self, count: int | None = None) -> None:
        """Write the first `count` rows that wait, or all."""
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        count = len(rows) if count is None else count
        require_space(Path(self._data.file.filename), rows.nbytes)
        start = len(self._data)
        self._data.resize(start + count, axis=0)
        self._data[start:] = rows[:count]
        self._waiting, self._num_waiting = [rows[count:].copy()], len(rows) - count

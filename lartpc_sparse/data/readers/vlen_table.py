"""A variable-length HDF5 data set, guarded against damaged lengths.

HDF5 stores an entry as 16 bytes: length (u4), address (u8) and index (u4) of its values in a global heap (file format
specification, "Variable-length"). The library trusts the length and fills that much memory before it looks at the
heap, up to 16 GB for one flipped bit, so that lengths beyond the size of the file are refused here first.

The heaps that entries lie in are checked before the library reads from them (`global_heap`).
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.readers.global_heap import HeapChecks

__all__ = ["VlenTable", "check_entries", "stored_entries"]

_ENTRY = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])


class VlenTable:
    """Entries of one data set by number or slice.

    Raises:
        TypeError: not a one-dimensional data set of variable-length rows of numbers.
    """

    def __init__(self, data: h5py.Dataset) -> None:
        element = h5py.check_vlen_dtype(data.dtype)
        if data.ndim != 1 or element is None or np.dtype(element).kind not in "iuf":
            raise TypeError("it does not hold one variable-length row of numbers an event")
        if data.id.get_type().encode()[3:6] != bytes(3):  # class bits of the type, 0 for rows; else HDF5 crashes
            raise TypeError("its type is damaged")
        self._data = data
        self._heaps = HeapChecks(data.file)
        most = Path(data.file.filename).stat().st_size // np.dtype(element).itemsize
        entries = stored_entries(data)
        self._too_long = np.zeros(0, dtype=np.int64)
        self._address: Int64[np.ndarray, " E"] | None = None
        self.lengths: Int64[np.ndarray, " E"] | None = None
        """Values of each entry, 0 for one whose length is damaged; None where entries are compressed."""
        if entries is not None:
            lengths = entries["length"].astype(np.int64)
            self._too_long = np.flatnonzero(lengths > most)
            self.lengths = np.where(lengths > most, 0, lengths)
            self._address = np.where(lengths > 0, entries["address"], 0)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, where: int | slice) -> np.ndarray:
        if len(self._too_long) and np.isin(np.arange(len(self))[where], self._too_long).any():
            raise ValueError("an entry claims more values than the file has bytes")
        if self._address is None:
            self._heaps.everything()
        else:
            for address in np.unique(self._address[where]).tolist():
                if address:
                    self._heaps.collection(address)
        values: np.ndarray = self._data[where]
        return values


def check_entries(data: h5py.Dataset) -> None:
    """Check a data set of texts or rows of variable length before the library reads it.

    Raises:
        ValueError: an entry longer than the file, or a damaged heap.
    """
    heaps, entries = HeapChecks(data.file), stored_entries(data)
    if entries is None:
        heaps.everything()
        return
    filled = entries[entries["length"] > 0]
    if (filled["length"] > Path(data.file.filename).stat().st_size).any():
        raise ValueError("an entry claims more than the file has bytes")
    for address in np.unique(filled["address"]).tolist():
        heaps.collection(address)


def stored_entries(data: h5py.Dataset) -> np.ndarray | None:
    """Where all entries are, without reading them: rows of `length` (values), `address` (bytes), `index` in the heap.

    None where they are compressed or stored unusually.

    Raises:
        ValueError: more entries than the file has room for.
    """
    properties = data.id.get_create_plist()
    file_properties = data.file.id.get_create_plist()
    if properties.get_nfilters() or file_properties.get_sizes()[0] != 8 or file_properties.get_userblock():
        return None
    blocks: list[tuple[int, int | None]] = []  # first entry, position in the file
    if properties.get_layout() == h5py.h5d.CONTIGUOUS:
        blocks.append((0, data.id.get_offset()))  # None: nothing was ever written
        if blocks[0][1] and _ENTRY.itemsize * len(data) > Path(data.file.filename).stat().st_size:
            raise ValueError("it claims more entries than the file has bytes")
    elif properties.get_layout() == h5py.h5d.CHUNKED:
        data.id.chunk_iter(lambda chunk: blocks.append((chunk.chunk_offset[0], chunk.byte_offset)))
    else:
        return None
    entries = np.zeros(len(data), dtype=_ENTRY)
    rows = data.chunks[0] if data.chunks else len(data)
    for first, position in blocks:
        if position is not None:
            part = entries[first : first + rows]
            raw = np.fromfile(data.file.filename, dtype=_ENTRY, count=len(part), offset=position)
            part[: len(raw)] = raw
    return entries

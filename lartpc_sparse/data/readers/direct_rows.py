"""Rows of a data set that is not compressed, read past the HDF5 library, which saves its work for each read."""

from __future__ import annotations

import os

import h5py
import numpy as np
from jaxtyping import Shaped

__all__ = ["DirectRows", "direct_rows"]


class DirectRows:
    """A data set in unfiltered chunks, by the places of its chunks in the file.

    HDF5 checks no values here: whoever reads compares a checksum of their own.

    Args:
        data: the data set; chunks hold whole rows.
        descriptor: of the file, open for reading while this is used.
        places: position in the file of every chunk, in order; every chunk is there.
    """

    def __init__(self, data: h5py.Dataset, descriptor: int, places: tuple[int, ...]) -> None:
        self._descriptor, self._places, self._chunk_rows = descriptor, places, data.chunks[0]
        self._dtype, self._tail, self._num_rows = data.dtype, data.shape[1:], data.shape[0]
        self._row_bytes = data.dtype.itemsize * int(np.prod(self._tail))

    def __getitem__(self, rows: slice) -> Shaped[np.ndarray, "n ..."]:
        """The rows start..stop-1.

        Raises:
            OSError: they cannot be read, or the file ends before them.
        """
        begin, stop = rows.start, rows.stop
        if not 0 <= begin <= stop <= self._num_rows:
            raise OSError(f"rows {begin}..{stop} of a column of {self._num_rows}")
        found = np.empty((stop - begin, *self._tail), dtype=self._dtype)
        at, part = begin, found
        while at < stop:
            chunk, row = divmod(at, self._chunk_rows)
            count = self._chunk_rows - row
            if part is not found or at + count < stop:  # rarely: most events lie in one chunk
                part = found[at - begin : at - begin + count]
            if os.preadv(self._descriptor, [part.data], self._places[chunk] + row * self._row_bytes) != part.nbytes:
                raise OSError("the file ends too early")
            at += count
        return found


def direct_rows(file: h5py.File, data: h5py.Dataset) -> DirectRows | None:
    """The fast way to a data set; None where it is stored otherwise, and HDF5 has to read it.

    Raises:
        OSError, RuntimeError, ...: damage, see `DAMAGE`.
    """
    layout = data.id.get_create_plist()
    chunks = data.chunks
    plain = chunks is not None and layout.get_nfilters() == 0 and file.driver == "sec2"
    if not plain or chunks[1:] != data.shape[1:] or data.dtype.kind not in "iuf":
        return None
    places: dict[int, int] = {}
    data.id.chunk_iter(lambda chunk: places.__setitem__(chunk.chunk_offset[0] // chunks[0], chunk.byte_offset))
    if sorted(places) != list(range(-(-data.shape[0] // chunks[0]))):
        return None  # HDF5 fills in chunks that were never written
    return DirectRows(data, file.id.get_vfd_handle(), tuple(places[number] for number in sorted(places)))

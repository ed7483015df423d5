"""Baskets: ROOT packs the entries of a leaf in them.

One entry is taken out of one basket, so that random access unpacks no basket twice while it is remembered, and no more
than the one that holds the entry.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Int64, UInt8

from lartpc_sparse.data.fast_zlib import decompress

__all__ = ["Basket", "BasketCache", "unpack_zlib"]

_PLACE = np.dtype(">i4")
_KEY = struct.Struct(">ihiIhh")
"""TKey: bytes, version, unpacked bytes, date, length of the key, cycle."""
_BASKET = struct.Struct(">Hiiii")
"""TBasket: version, buffer size, offsets' size, entries, end of the entries; a flag of one byte follows."""
_BLOCK_HEADER = 9
"""ROOT's header of a packed block: two letters, a method, packed and unpacked size in three bytes each."""


@dataclass(frozen=True)
class Basket:
    """Unpacked entries: all bytes, and where each entry starts (None: all entries have the same size)."""

    data: UInt8[np.ndarray, " B"]
    offsets: Int64[np.ndarray, " n1"] | None
    num_entries: int

    def entry(self, number: int) -> UInt8[np.ndarray, " b"]:
        """The bytes of one entry."""
        if self.offsets is not None:
            return self.data[self.offsets[number] : self.offsets[number + 1]]
        size = len(self.data) // self.num_entries
        return self.data[number * size : (number + 1) * size]


class BasketCache:
    """The most recently used baskets of any number of files, up to a number of bytes; left out of a pickle."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._baskets: OrderedDict[tuple[str, str, int], Basket] = OrderedDict()
        self.num_bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_baskets": OrderedDict(), "num_bytes": 0}

    def get(self, place: tuple[str, str, int], unpack: Callable[[], Basket]) -> Basket:
        """The basket number n of a leaf of a file; unpacked now if need be."""
        basket = self._baskets.get(place)
        if basket is None:
            basket = self._baskets[place] = unpack()
            self.num_bytes += _size(basket)
            while self.num_bytes > self._max_bytes and len(self._baskets) > 1:
                self.num_bytes -= _size(self._baskets.popitem(last=False)[1])
        else:
            self._baskets.move_to_end(place)
        return basket

    def forget(self, path: str) -> None:
        """Drop the baskets of one file."""
        for place in [place for place in self._baskets if place[0] == path]:
            self.num_bytes -= _size(self._baskets.pop(place))


def _size(basket: Basket) -> int:
    return basket.data.nbytes + (0 if basket.offsets is None else basket.offsets.nbytes)


def unpack_zlib(
    read: Callable[[int, int], bytes], start: int, num_bytes: int
) -> tuple[UInt8[np.ndarray, " B"], Int[np.ndarray, " n1"] | None, int] | None:
    """A basket that is packed with zlib in one block, as larcv2 writes them, sooner than uproot.

    A basket is a TKey, the five numbers of a TBasket at its end, and packed: the entries, then for entries of different
    sizes their number + 1 and their places, counted from the start of the key.

    Args:
        read: bytes of the file, from their position and number.
        start: position of the basket in the file; 0: it is elsewhere.
        num_bytes: its size.

    Returns:
        bytes, offsets or None, number of entries; or None for a basket of any other kind.

    Raises:
        ValueError: damage.
    """
    raw = read(start, num_bytes) if start > 0 and num_bytes > _KEY.size else b""
    if len(raw) != num_bytes or not raw:
        return None
    size, _, length, _, key_length, _ = _KEY.unpack_from(raw)
    block = key_length + _BLOCK_HEADER
    if size != num_bytes or not _KEY.size + _BASKET.size < key_length or block > num_bytes:
        return None
    packed, unpacked = (int.from_bytes(raw[at : at + 3], "little") for at in (key_length + 3, key_length + 6))
    if raw[key_length : key_length + 2] != b"ZL" or packed != num_bytes - block or unpacked != length:
        return None
    data = np.frombuffer(decompress(memoryview(raw)[block:], length), dtype=np.uint8)
    if len(data) != length:
        raise ValueError(f"a basket unpacks to {len(data)} bytes, its key says {length}")
    *_, num_entries, last = _BASKET.unpack_from(raw, key_length - _BASKET.size - 1)
    border = last - key_length
    if border == length:
        return data, None, num_entries
    if not 0 <= border <= length - 8 or (length - border) % 4:
        raise ValueError(f"a basket of {length} bytes has its entry offsets at {border}")
    if num_entries == 1 and length - border == 12 and data[border + 4 :].view(_PLACE)[0] == key_length:
        return data[:border], None, 1  # the usual one of large events
    offsets = data[border:].view(_PLACE)[1:] - key_length
    offsets[-1] = border
    return data[:border], offsets, num_entries

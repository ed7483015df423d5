"""Leaves of ROOT trees read entry by entry, through a bounded memory of unpacked baskets.

ROOT packs the entries of a leaf in baskets. uproot unpacks them; here one entry is taken out of one basket, so that
random access unpacks no basket twice while it is remembered, and no more than the one that holds the entry.
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import uproot
from jaxtyping import Int, Int64, Shaped, UInt8

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["Basket", "BasketCache", "Leaf", "number_type", "own_classes", "root_damage_named"]

_COUNT = np.dtype(">i4")
_KEY = struct.Struct(">ihiIhh")
"""TKey: bytes, version, unpacked bytes, date, length of the key, cycle."""
_BASKET = struct.Struct(">Hiiii")
"""TBasket: version, buffer size, offsets' size, entries, end of the entries; a flag of one byte follows."""
_BLOCK_HEADER = 9
"""ROOT's header of a packed block: two letters, a method, packed and unpacked size in three bytes each."""


@contextmanager
def root_damage_named(where: EventKey | str, field: str) -> Iterator[None]:
    """Turn whatever uproot raises on damaged data into an error that names the place.

    uproot has no common base of its errors, and takes class descriptions out of the file: a damaged one can make
    any error. So all of them are caught here, and nowhere else.

    Raises:
        BadEventError: `where` is an event. UserError: `where` is a file.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kind = BadEventError if isinstance(where, EventKey) else UserError
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise kind(f"{where}: cannot read {field} ({reason}); the file is damaged: copy or make it again") from error


def own_classes() -> dict[str, type]:
    """A copy of uproot's classes for one file.

    uproot adds what it learns from a file to a register of the process. A damaged file would spoil the reading of all
    files after it, so each file learns into a register of its own.
    """
    return {name: _copy(found) if "known_versions" in vars(found) else found for name, found in uproot.classes.items()}


def _copy(dispatch: type) -> type:
    """A class that chooses among the versions of a ROOT class, with a list of versions of its own."""
    members = {name: value for name, value in vars(dispatch).items() if name not in ("__dict__", "__weakref__")}
    return type(dispatch.__name__, dispatch.__bases__, {**members, "known_versions": dict(members["known_versions"])})


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


class Leaf:
    """One leaf of a tree.

    Args:
        branch: of uproot, with data of its own.
        name: of the leaf, with its tree, unique in the file.
        path: of the file.
        cache: where unpacked baskets stay.
        read: bytes of the file, from their position and number.

    Raises:
        UserError: the table of baskets is damaged.
    """

    def __init__(
        self, branch: Any, name: str, path: str, cache: BasketCache, read: Callable[[int, int], bytes]
    ) -> None:
        self._branch, self._name, self._path, self._cache, self._read = branch, name, path, cache, read
        with root_damage_named(path, name):
            self._first = [int(entry) for entry in branch.entry_offsets]
            if self._first[:1] != [0] or self._first != sorted(self._first):
                raise ValueError("the table of baskets does not grow")
            starts, sizes = (branch.member(name).tolist() for name in ("fBasketSeek", "fBasketBytes"))
            normal = len(self._first) - 1 - len(branch.embedded_baskets)
            self._places = list(zip(starts[:normal], sizes[:normal], strict=True))
        self._type: np.dtype[Any] | None = None
        self._header_bytes = 0
        self._column: np.ndarray | None = None
        self._counts: np.ndarray | None = None

    @property
    def num_entries(self) -> int:
        """Entries that the baskets hold."""
        return self._first[-1]

    def raw(self, entry: int) -> UInt8[np.ndarray, " b"]:
        """The bytes of one entry as they are in the file.

        Raises:
            IndexError: no such entry.
            ValueError, ...: whatever uproot raises on damage; see `root_damage_named`.
        """
        if not 0 <= entry < self.num_entries:
            raise IndexError(f"entry {entry} of a leaf with {self.num_entries}")
        number = bisect_right(self._first, entry) - 1
        basket = self._cache.get((self._path, self._name, number), lambda: self._unpack(number))
        return basket.entry(entry - self._first[number])

    def numbers(self, entry: int) -> Shaped[np.ndarray, " n"]:
        """The numbers of one entry, in the machine's byte order.

        Raises:
            TypeError: the leaf does not hold plain numbers. Others: as for `raw`.
        """
        if self._type is None:
            self._type, self._header_bytes = number_type(self._branch)
        found: np.ndarray = self.raw(entry)[self._header_bytes :].view(self._type)
        return found.astype(self._type.newbyteorder("="))

    def column(self) -> Shaped[np.ndarray, " E"]:
        """All entries of a leaf with one number an entry; stays in memory.

        Raises:
            TypeError, ValueError, ...: as for `numbers`; or an entry has another number of numbers than one.
        """
        if self._column is None:
            parts = [self.numbers(entry) for entry in range(self.num_entries)]
            if any(len(part) != 1 for part in parts):
                raise ValueError("an entry does not have one number")
            self._column = np.concatenate(parts) if parts else np.zeros(0)
        return self._column

    def counts(self, first: int, last: int) -> Int64[np.ndarray, " n"]:
        """Entries first..last-1 of a leaf that holds one big-endian i4 an entry, as the counter of a vector is.

        All of them stay in memory.
        """
        if self._counts is None:
            self._counts = np.array([self.raw(entry).view(_COUNT)[0] for entry in range(self.num_entries)], np.int64)
        return self._counts[first:last]

    def _unpack(self, number: int) -> Basket:
        """One basket, its lengths checked against each other."""
        found = unpack_zlib(self._read, *self._places[number]) if number < len(self._places) else None
        if found is None:  # packed otherwise, or inside the tree: uproot knows all ways
            basket = self._branch.basket(number)
            offsets = None if basket.byte_offsets is None else np.asarray(basket.byte_offsets)
            found = np.asarray(basket.data), offsets, basket.num_entries
        data, offsets, num_entries = found
        expected = self._first[number + 1] - self._first[number]
        if num_entries != expected:
            raise ValueError(f"basket {number} has {num_entries} entries, its table says {expected}")
        if offsets is None:
            if expected == 0 or len(data) % expected:
                raise ValueError(f"basket {number}: {len(data)} bytes do not divide into {expected} entries")
            return Basket(data, None, expected)
        offsets = offsets.astype(np.int64)
        if len(offsets) != expected + 1 or offsets[0] != 0 or offsets[-1] != len(data):
            raise ValueError(f"basket {number}: its entry offsets do not span its {len(data)} bytes")
        if (np.diff(offsets) < 0).any():
            raise ValueError(f"basket {number}: its entry offsets shrink")
        return Basket(data, offsets, expected)


def unpack_zlib(
    read: Callable[[int, int], bytes], start: int, num_bytes: int
) -> tuple[UInt8[np.ndarray, " B"], Int[np.ndarray, " n1"] | None, int] | None:
    """A basket that is packed with zlib in one block, as larcv2 writes them, in half of uproot's time.

    A basket is a TKey, the five numbers of a TBasket at its end, and packed: the entries, then for entries of different
    sizes their number + 1 and their places, counted from the start of the key.

    Args:
        read: bytes of the file, from their position and number.
        start: position of the basket in the file; 0: it is elsewhere.
        num_bytes: its size.

    Returns:
        bytes, offsets or None, number of entries; or None for a basket of any other kind.

    Raises:
        ValueError, zlib.error: damage.
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
    data = np.frombuffer(zlib.decompress(memoryview(raw)[block:], bufsize=length), dtype=np.uint8)
    if len(data) != length:
        raise ValueError(f"a basket unpacks to {len(data)} bytes, its key says {length}")
    *_, num_entries, last = _BASKET.unpack_from(raw, key_length - _BASKET.size - 1)
    border = last - key_length
    if border == length:
        return data, None, num_entries
    if not 0 <= border <= length - 8 or (length - border) % 4:
        raise ValueError(f"a basket of {length} bytes has its entry offsets at {border}")
    offsets = data[border:].view(_COUNT)[1:] - key_length
    offsets[-1] = border
    return data[:border], offsets, num_entries


def number_type(branch: Any) -> tuple[np.dtype[Any], int]:
    """Type of the numbers of a branch, and the bytes before the first of an entry.

    Raises:
        TypeError: the branch holds something else, or more than one number in each element.
    """
    found, header = branch.interpretation, 0
    if isinstance(found, uproot.AsJagged):
        found, header = found.content, found.header_bytes
    if not isinstance(found, uproot.AsDtype) or found.from_dtype.subdtype or found.from_dtype.names:
        raise TypeError(f"it holds {branch.typename}, not plain numbers")
    return found.from_dtype, header

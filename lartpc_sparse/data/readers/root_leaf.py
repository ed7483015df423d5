"""Leaves of ROOT trees read entry by entry, through a bounded memory of unpacked baskets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from jaxtyping import Int64, Shaped, UInt8

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers.root_basket import Basket, BasketCache, unpack_zlib
from lartpc_sparse.data.readers.root_claims import check_root_baskets, check_root_key
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["Leaf", "number_type", "own_classes", "root_damage_named"]

_COUNT = np.dtype(">i4")


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


class Leaf:
    """One leaf of a tree.

    Args:
        branch: of uproot, with data of its own.
        name: of the leaf, with its tree, unique in the file.
        path: of the file.
        cache: where unpacked baskets stay.
        read: bytes of the file, from their position and number.

    Raises:
        UserError: the table of baskets is damaged, or claims more than the file can hold.
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
            check_root_baskets(path, name, self._first, self._places, Path(path).stat().st_size)
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
            if number < len(self._places):
                start, num_bytes = self._places[number]
                check_root_key(self._path, f"basket {number} of {self._name}", self._read(start, 16), num_bytes)
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
        if (offsets[1:] < offsets[:-1]).any():
            raise ValueError(f"basket {number}: its entry offsets shrink")
        return Basket(data, offsets, expected)


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

"""Sizes that a ROOT file claims, compared with what it stores, before uproot takes memory for them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from lartpc_sparse.data.claimed_sizes import believable, false_claim
from lartpc_sparse.schema import UserError

__all__ = ["check_root_baskets", "check_root_key", "check_root_object", "check_root_streamers"]

_HEADER = struct.Struct(">ihi")
"""Begin of a TKey: bytes in the file, version, unpacked bytes."""
_FEW_ENTRIES = 1 << 20


def check_root_key(path: str | Path, name: str, header: bytes, stored: int) -> None:
    """Refuse an object, or a basket, whose key claims to be far larger unpacked than what is stored.

    Args:
        path: of the file, for messages.
        name: of the object.
        header: the first bytes of its key.
        stored: bytes of the file for it, as told elsewhere.

    Raises:
        UserError: names the object and both sizes.
    """
    if len(header) < _HEADER.size:
        raise UserError(f"{path}: {name} lies beyond the end of the file; it is truncated: copy it again")
    num_bytes, _, unpacked = _HEADER.unpack_from(header)
    if not (0 < num_bytes <= stored and believable(unpacked, stored)):
        raise false_claim(path, name, max(num_bytes, unpacked), stored)


def check_root_object(directory: Any, name: str, path: str | Path) -> None:
    """Refuse an object of a file (a tree, a histogram) by its key.

    Args:
        directory: of uproot.
        name: of the object in it.
        path: of the file.

    Raises:
        UserError: the object reaches beyond the end of the file, or claims far more than it stores.
    """
    key = directory.key(name)
    stored = min(int(key.fNbytes), Path(path).stat().st_size - int(key.fSeekKey))
    # The key in the list of the folder, and the copy in front of the object: uproot believes the one or the other.
    check_root_key(path, name, _HEADER.pack(key.fNbytes, 0, key.fObjlen), stored)
    check_root_key(path, name, _read(path, int(key.fSeekKey)), stored)


def check_root_streamers(file: Any, path: str | Path) -> None:
    """Refuse the descriptions of classes that a file brings along, see `check_root_object`.

    Args:
        file: what `uproot.open` gave.
        path: of the file.

    Raises:
        UserError: as for `check_root_object`.
    """
    start, num_bytes = int(file.file.fSeekInfo), int(file.file.fNbytesInfo)
    if start != 0:
        stored = min(num_bytes, Path(path).stat().st_size - start)
        check_root_key(path, "the list of classes", _read(path, start), stored)


def check_root_baskets(path: str | Path, name: str, first: list[int], places: list[tuple[int, int]], size: int) -> None:
    """Refuse a leaf whose table of baskets claims more than the file can hold.

    Args:
        path: of the file.
        name: of the leaf.
        first: first entry of each basket, and the number of entries.
        places: position and bytes of each basket that has its own place in the file.
        size: bytes of the file.

    Raises:
        UserError: a basket beyond the end of the file, or more entries than its bytes can be unpacked to.
    """
    for number, (start, num_bytes) in enumerate(places):
        if not 0 <= start <= start + num_bytes <= size:
            raise UserError(
                f"{path}: basket {number} of {name} claims {num_bytes:,} bytes from byte {start:,} on, but the file "
                f"has {size:,}; it is truncated or damaged: copy it again"
            )
        entries = first[number + 1] - first[number]
        if entries > _FEW_ENTRIES and not believable(entries, num_bytes):  # an entry has a byte, or a place of four
            raise false_claim(path, f"basket {number} of {name} with {entries:,} entries", entries, num_bytes)
    inside = first[-1] - first[len(places)]
    if inside > max(_FEW_ENTRIES, size):  # baskets inside the tree, which is not larger than the file is
        raise false_claim(path, f"the tree of {name} with {inside:,} entries", inside, size)


def _read(path: str | Path, start: int) -> bytes:
    with Path(path).open("rb") as file:
        file.seek(max(start, 0))
        return file.read(_HEADER.size)

"""Checks of the global heaps of an HDF5 file before the library reads from them.

Rows of variable length and most texts lie in global heaps, which have no checksum, and the HDF5 library can run for
ever on a damaged one (HDFGroup/hdf5 issue 1707): it follows a chain of objects whose sizes it believes. The chain is
followed here first, with bounds. Layouts: HDF5 file format specification, version 3.0: III.E (global heap), IV.A.1
(object headers), IV.A.2.q (continuation).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import h5py

__all__ = ["HeapChecks", "check_attributes"]

_SIGNATURE = b"GCOL"
_HEADER = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
_CONTINUATION, _ATTRIBUTE, _ATTRIBUTE_INFO = 0x10, 0x0C, 0x15


class HeapChecks:
    """The global heaps of one file; each is looked at once.

    Args:
        file: open; only files without a user block and with addresses of 8 bytes, as h5py writes, can be checked.
    """

    def __init__(self, file: h5py.File) -> None:
        self._path = Path(file.filename)
        self._size = self._path.stat().st_size
        properties = file.id.get_create_plist()
        self._possible = properties.get_sizes() == (8, 8) and not properties.get_userblock()
        self._sound: set[int] = set()
        self._whole = False

    def collection(self, address: int) -> None:
        """Check one heap.

        Raises:
            ValueError: there is none at that address, or it is damaged.
        """
        if address in self._sound or not self._possible:
            return
        with self._path.open("rb") as file:
            signature, version, size = _HEADER.unpack(_read(file.fileno(), address, _HEADER.size, self._size))
            if signature != _SIGNATURE or version != 1 or size > self._size - address:
                raise ValueError(f"there is no global heap at byte {address}")
            at, end = address + _HEADER.size, address + size
            while at + _OBJECT.size <= end:
                index, _, length = _OBJECT.unpack(_read(file.fileno(), at, _OBJECT.size, self._size))
                # Object 0 is the free space; its length counts its own header.
                step = length if index == 0 else _OBJECT.size + -(-length // 8) * 8
                if not _OBJECT.size <= step <= end - at:
                    raise ValueError(f"the global heap at byte {address} is damaged")
                at += step
        self._sound.add(address)

    def attributes(self, item: h5py.File | h5py.Group | h5py.Dataset) -> None:
        """Check the heaps that the attributes of a file, group or data set may lie in.

        Raises:
            ValueError: a damaged heap or object header.
        """
        if not self._possible or not len(item.attrs):
            return
        with self._path.open("rb") as file:
            for kind, body in _messages(file.fileno(), h5py.h5o.get_info(item.id).addr, self._size):
                if kind == _ATTRIBUTE_INFO and body[2 + 2 * (body[1] & 1) :][:8] != b"\xff" * 8:
                    self.everything()  # the attributes are not in the header
                if kind == _ATTRIBUTE:
                    for address in _addresses(body, self._size):
                        if os.pread(file.fileno(), 4, address) == _SIGNATURE:
                            self.collection(address)

    def everything(self) -> None:
        """Check all heaps of the file, wherever they are; reads the whole file once.

        Raises:
            ValueError: a damaged heap.
        """
        if self._whole or not self._possible or not self._size:
            return
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = [at for at in _all(content, _SIGNATURE + b"\x01\0\0\0") if at % 8 == 0]
        for address in found:
            self.collection(address)
        self._whole = True


def check_attributes(file: h5py.File) -> None:
    """Check the heaps of all attributes of a file, see `HeapChecks.attributes`.

    Raises:
        ValueError: a damaged heap or object header.
    """
    checks = HeapChecks(file)
    checks.attributes(file)
    file.visititems(lambda _, item: checks.attributes(item))


def _read(file: int, at: int, count: int, size: int) -> bytes:
    if not 0 <= at <= size - count:
        raise ValueError(f"byte {at} lies beyond the end of the file")
    return os.pread(file, count, at)


def _all(content: mmap.mmap, wanted: bytes) -> Iterator[int]:
    at = content.find(wanted)
    while at >= 0:
        yield at
        at = content.find(wanted, at + 1)


def _addresses(body: bytes, size: int) -> Iterator[int]:
    """Numbers of 8 bytes that can be the address of a heap, wherever they stand: no need to know types and shapes."""
    for at in range(len(body) - 7):
        address = int.from_bytes(body[at : at + 8], "little")
        if address and address % 8 == 0 and address <= size - _HEADER.size:
            yield address


def _messages(file: int, address: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of the messages of an object header, of all its blocks."""
    start = _read(file, address, 16, size)
    if start[:4] == b"OHDR":
        flags = start[5]
        begin = 6 + 16 * bool(flags & 0x20) + 4 * bool(flags & 0x10)
        width = 1 << (flags & 3)
        length = int.from_bytes(_read(file, address + begin, width, size), "little")
        blocks = [(address + begin + width, length)]
        header = struct.Struct("<BHB2x" if flags & 0x04 else "<BHB")
    elif start[0] == 1:
        blocks = [(address + 16, int.from_bytes(start[8:12], "little"))]
        header = struct.Struct("<HHB3x")
    else:
        raise ValueError(f"there is no object header at byte {address}")
    seen = set()
    while blocks:
        at, length = blocks.pop()
        if at in seen:
            raise ValueError(f"the object header at byte {address} is damaged")
        seen.add(at)
        block = _read(file, at, length, size)
        if block[:4] == b"OCHK":
            block = block[4:-4]  # without signature and checksum
        place = 0
        while place + header.size <= len(block):
            kind, count, _ = header.unpack_from(block, place)
            body = block[place + header.size : place + header.size + count]
            place += header.size + count
            if kind == _CONTINUATION and len(body) >= 16:
                blocks.append(struct.unpack_from("<QQ", body))
            else:
                yield kind, body

"""Hand decoder of what uproot does not read in larcv2 files: vectors of voxels and of pixels inside a vector.

ROOT stores a member `std::vector<T>` of the elements of another, split vector as one run of bytes per event
(big-endian):

    u4 number of bytes that follow, with bit 0x40000000 set
    u2 version, with bit 0x4000 set when T is stored member by member
    for T a class stored member by member: u2 version of T, and a u4 checksum when that is 0
    then for each element of the outer vector: i4 N, and N x T; member by member, N ids u8 and N values f4

The layout was read from files (larcv2 written with ROOT 5 and 6), and from ROOT's TBufferFile and
TCollectionStreamer. Every length is checked against the bytes at hand before anything is made of it.
"""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt64

__all__ = ["decode_images", "decode_voxel_sets", "encode_images", "encode_voxel_sets"]

_BYTE_COUNT = 0x40000000
_MEMBER_WISE = 0x4000
_VERSION = 10
_CHECKSUM = 0x7A384FDA
_ID = np.dtype(">u8")
_VALUE = np.dtype(">f4")
_VOXEL_BYTES = _ID.itemsize + _VALUE.itemsize


def decode_voxel_sets(
    data: UInt8[np.ndarray, " B"], num_sets: int
) -> tuple[UInt64[np.ndarray, " M"], Float32[np.ndarray, " M"], Int64[np.ndarray, " K1"]]:
    """The voxels of one event of `_voxel_vv._voxel_v` (`cluster3d`) or `_tensor_v._voxel_v` (`sparse2d`).

    Args:
        data: the bytes of the event.
        num_sets: K, the number of elements of the outer vector, known from another leaf.

    Returns:
        ids, values, and K + 1 offsets: set k has the rows offsets[k]:offsets[k + 1].

    Raises:
        ValueError: bytes that do not have this layout, or that do not hold exactly K sets.
    """
    raw = data.tobytes()
    starts, counts = [], []
    at = _after_header(raw, num_sets, member_wise=True)
    for number in range(num_sets):
        count, at = _count(raw, at, number, _VOXEL_BYTES)
        starts.append(at)
        counts.append(count)
        at += count * _VOXEL_BYTES
    _check_end(raw, at, num_sets)
    offsets = np.cumsum([0, *counts], dtype=np.int64)
    ids, values = np.empty(offsets[-1], dtype=np.uint64), np.empty(offsets[-1], dtype=np.float32)
    for start, count, first in zip(starts, counts, offsets, strict=False):
        ids[first : first + count] = np.frombuffer(raw, _ID, count, start)
        values[first : first + count] = np.frombuffer(raw, _VALUE, count, start + count * _ID.itemsize)
    return ids, values, offsets


def decode_images(data: UInt8[np.ndarray, " B"], num_images: int) -> list[Float32[np.ndarray, " _"]]:
    """The pixels of every image of one event of `_image_v._img` (`image2d`).

    Raises:
        ValueError: bytes that do not have this layout, or that do not hold exactly that many images.
    """
    raw = data.tobytes()
    images = []
    at = _after_header(raw, num_images, member_wise=False)
    for number in range(num_images):
        count, at = _count(raw, at, number, _VALUE.itemsize)
        images.append(np.frombuffer(raw, _VALUE, count, at).astype(np.float32))
        at += count * _VALUE.itemsize
    _check_end(raw, at, num_images)
    return images


def encode_voxel_sets(
    ids: UInt64[np.ndarray, " M"], values: Float32[np.ndarray, " M"], offsets: Int64[np.ndarray, " K1"]
) -> UInt8[np.ndarray, " B"]:
    """The inverse of `decode_voxel_sets`; for tests and for files made by hand."""
    parts = [struct.pack(">HHI", _VERSION | _MEMBER_WISE, 0, _CHECKSUM)]
    for first, last in pairwise(offsets.tolist()):
        parts += [
            struct.pack(">i", last - first),
            ids[first:last].astype(_ID).tobytes(),
            values[first:last].astype(_VALUE).tobytes(),
        ]
    return _with_byte_count(parts)


def encode_images(images: list[Float32[np.ndarray, " _"]]) -> UInt8[np.ndarray, " B"]:
    """The inverse of `decode_images`; for tests and for files made by hand."""
    parts = [struct.pack(">H", _VERSION)]
    for image in images:
        parts += [struct.pack(">i", len(image)), image.astype(_VALUE).tobytes()]
    return _with_byte_count(parts)


def _with_byte_count(parts: list[bytes]) -> UInt8[np.ndarray, " B"]:
    body = b"".join(parts)
    return np.frombuffer(struct.pack(">I", len(body) | _BYTE_COUNT) + body, dtype=np.uint8).copy()


def _after_header(raw: bytes, count: int, *, member_wise: bool) -> int:
    """Position of the first element."""
    if not raw and count == 0:
        return 0
    if len(raw) < 6:
        raise ValueError(f"{len(raw)} bytes for {count} vectors, too few for a header")
    num_bytes, version = struct.unpack_from(">IH", raw)
    if num_bytes != (len(raw) - 4) | _BYTE_COUNT:
        raise ValueError(f"the byte count is {num_bytes:#x}, but {len(raw) - 4} bytes follow")
    if bool(version & _MEMBER_WISE) != member_wise:
        raise ValueError(f"version {version:#x}: the vector is {'not ' if member_wise else ''}stored member by member")
    if not member_wise:
        return 6
    if len(raw) < 8:
        return len(raw)  # nothing but the header: no elements, or too few bytes for one
    (class_version,) = struct.unpack_from(">H", raw, 6)
    return 12 if class_version == 0 else 8


def _count(raw: bytes, at: int, number: int, item_bytes: int) -> tuple[int, int]:
    """Length of vector `number`, whose bytes start at the second value."""
    if at + 4 > len(raw):
        raise ValueError(f"the bytes end before vector {number}")
    (count,) = struct.unpack_from(">i", raw, at)
    if not 0 <= count * item_bytes <= len(raw) - at - 4:
        raise ValueError(f"vector {number} says it has {count} elements, but {len(raw) - at - 4} bytes are left")
    return count, at + 4


def _check_end(raw: bytes, at: int, count: int) -> None:
    if at != len(raw) and not (count == 0 and at >= len(raw)):
        raise ValueError(f"{len(raw) - at} bytes are left after {count} vectors")

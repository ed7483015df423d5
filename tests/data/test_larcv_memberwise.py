"""The hand decoder: round trips, and bytes that are not what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.data.readers.larcv_memberwise import (
    decode_images,
    decode_voxel_sets,
    encode_images,
    encode_voxel_sets,
)

# Two sets in the layout of larcv2 files: ids 5, 260 with values 1.0, -2.0; and none.
WRITTEN = bytes.fromhex(
    "40000028 400a 0000 7a384fda00000002 0000000000000005 0000000000000104 3f800000 c000000000000000".replace(" ", "")
)


def as_bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype=np.uint8)


def test_known_bytes() -> None:
    ids, values, offsets = decode_voxel_sets(as_bytes(WRITTEN), 2)
    assert (ids.tolist(), values.tolist(), offsets.tolist()) == ([5, 260], [1.0, -2.0], [0, 2, 2])
    assert encode_voxel_sets(ids, values, offsets).tobytes() == WRITTEN


def test_a_class_with_a_version_has_no_checksum() -> None:
    body = b"\x40\x0a\x00\x01" + WRITTEN[12:]
    data = (len(body) | 0x40000000).to_bytes(4, "big") + body
    assert decode_voxel_sets(as_bytes(data), 2)[0].tolist() == [5, 260]


@pytest.mark.parametrize("data", [b"", WRITTEN[:4].replace(b"\x28", b"\x08") + WRITTEN[4:12]])
def test_no_sets(data: bytes) -> None:
    assert decode_voxel_sets(as_bytes(data), 0)[2].tolist() == [0]


sets_of_voxels = st.lists(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.floats(width=32, allow_nan=False)), max_size=6), max_size=6
)


@given(sets_of_voxels)
def test_round_trip_of_sets(sets: list[list[tuple[int, float]]]) -> None:
    voxels = [voxel for members in sets for voxel in members]
    ids = np.array([voxel[0] for voxel in voxels], dtype=np.uint64)
    values = np.array([voxel[1] for voxel in voxels], dtype=np.float32)
    offsets = np.cumsum([0, *map(len, sets)], dtype=np.int64)
    found = decode_voxel_sets(encode_voxel_sets(ids, values, offsets), len(sets))
    for one, other in zip(found, (ids, values, offsets), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@given(st.lists(st.lists(st.floats(width=32), max_size=9), max_size=4))
def test_round_trip_of_images(images: list[list[float]]) -> None:
    arrays = [np.array(image, dtype=np.float32) for image in images]
    found = decode_images(encode_images(arrays), len(arrays))
    assert len(found) == len(arrays)
    for one, other in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


@given(st.data())
def test_damaged_bytes_are_refused_or_harmless(data: st.DataObject) -> None:
    """Only ValueError, and never more voxels than the bytes can hold."""
    raw = bytearray(WRITTEN)
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for decode in (decode_voxel_sets, decode_images):
        for count in (0, 1, 2, 3):
            try:
                found = decode(as_bytes(bytes(raw[:cut])), count)
            except ValueError:
                continue
            assert sum(len(part) for part in found) <= len(raw)


@pytest.mark.parametrize(
    ("data", "count", "message"),
    [
        (WRITTEN[:-1], 2, "the byte count is"),
        (WRITTEN[:3], 1, "too few for a header"),
        (WRITTEN, 1, "4 bytes are left after 1 vectors"),
        (WRITTEN, 3, "the bytes end before vector 2"),
        (WRITTEN[:12] + b"\x7f" + WRITTEN[13:], 2, "vector 0 says it has 2130706434 elements, but 28 bytes"),
        (WRITTEN[:12] + b"\xff" + WRITTEN[13:], 2, "vector 0 says it has -16777214 elements"),
        (WRITTEN[:4] + b"\x00" + WRITTEN[5:], 2, "not stored member by member"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_voxel_sets(as_bytes(data), count)


def test_images_stored_member_by_member_are_refused() -> None:
    with pytest.raises(ValueError, match="stored member by member"):
        decode_images(as_bytes(WRITTEN), 2)

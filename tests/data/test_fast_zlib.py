"""The fast zlib gives what the standard library gives, and refuses what it refuses."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.data import fast_zlib
from lartpc_sparse.jobs import memory_limited


@pytest.mark.parametrize("fastest", [None, zlib])
@given(data=st.binary(max_size=3000), level=st.integers(0, 9), more=st.integers(0, 5000))
def test_same_results_as_the_standard_library(fastest: object, data: bytes, level: int, more: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if fastest is not None:  # as where isal has no wheel
            patch.setattr(fast_zlib, "_fastest", fastest)
        assert fast_zlib.decompress(memoryview(zlib.compress(data, level)), len(data) + more) == data
        assert fast_zlib.crc32(data) == zlib.crc32(data)


@pytest.mark.parametrize("fastest", [None, zlib])
def test_every_flipped_bit_and_every_cut_is_noticed(fastest: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if fastest is not None:
        monkeypatch.setattr(fast_zlib, "_fastest", fastest)
    data = bytes(range(64)) * 4
    packed = zlib.compress(data, 1)
    for length in range(len(packed)):
        with pytest.raises(ValueError, match="damaged"):
            fast_zlib.decompress(packed[:length], len(data))
    for bit in range(8 * len(packed)):
        bad = bytearray(packed)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            found = fast_zlib.decompress(bytes(bad), len(data))
        except ValueError:
            continue
        assert found == data, bit  # the header has bits that mean nothing to the data


@pytest.mark.parametrize("fastest", [None, zlib])
@pytest.mark.parametrize("size", [0, 1, 999, 1 << 20])
def test_what_unpacks_to_more_than_it_claims_takes_no_memory(
    fastest: object, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fastest is not None:
        monkeypatch.setattr(fast_zlib, "_fastest", fastest)
    bomb = zlib.compress(bytes(512 << 20), 9)
    assert len(bomb) < 1 << 20
    with memory_limited(64 << 20), pytest.raises(ValueError, match=f"more than the {size} bytes that it claims"):
        fast_zlib.decompress(bomb, size)

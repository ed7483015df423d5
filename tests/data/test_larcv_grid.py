"""Voxel numbers of larcv files to voxel indices, with and without the compiled library."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers import larcv_raw
from lartpc_sparse.data.readers.larcv_raw import Grid
from lartpc_sparse.schema import BadEventError
from lartpc_sparse.sparse.native.library import missing_reason

KEY = EventKey("run.root", 7)
FASTEST = st.sampled_from(["first", "last"])


@pytest.fixture(params=["compiled", "numpy"], autouse=True, scope="module")
def _way(request: pytest.FixtureRequest) -> object:
    if request.param == "compiled":
        if missing_reason() is not None:
            pytest.skip(f"no compiled library: {missing_reason()}")
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(larcv_raw, "missing_reason", lambda: "not wanted")
        yield


def grid(size: tuple[int, ...], fastest: Literal["first", "last"]) -> Grid:
    return Grid(size, (0.0,) * len(size), tuple(map(float, size)), fastest)


@given(size=st.lists(st.integers(1, 40), min_size=2, max_size=3), fastest=FASTEST, seed=st.integers(0, 2**32 - 1))
def test_every_number_is_counted_along_the_fastest_axis(
    size: list[int], fastest: Literal["first", "last"], seed: int
) -> None:
    places = np.random.default_rng(seed).integers(0, size, (50, len(size)))
    order = range(len(size)) if fastest == "first" else reversed(range(len(size)))
    ids, step = np.zeros(50, dtype=np.uint64), 1
    for axis in order:
        ids += (places[:, axis] * step).astype(np.uint64)
        step *= size[axis]
    found = grid(tuple(size), fastest).coords(ids, KEY, "sparse3d_data")
    assert found.dtype == np.int32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, places)


@given(fastest=FASTEST)
def test_numbers_above_32_bits(fastest: Literal["first", "last"]) -> None:
    size = (100_003, 2, 1_000_003, 5)
    last = math.prod(size) - 1
    found = grid(size, fastest).coords(np.array([0, last], dtype=np.uint64), KEY, "sparse3d_data")
    np.testing.assert_array_equal(found, [[0, 0, 0, 0], [n - 1 for n in size]])


@pytest.mark.parametrize("size", [(4, 5, 6), (0, 5, 6), (2**31, 1, 1)])
def test_a_number_outside_the_image_is_named(size: tuple[int, ...]) -> None:
    ids = np.array([0, 119, 120, 3], dtype=np.uint64)
    with pytest.raises(BadEventError, match=r"run\.root.*7.*sparse3d_data has voxel id 120, outside its image of size"):
        grid(size, "first").coords(ids, KEY, "sparse3d_data")


def test_numbers_in_the_byte_order_of_root() -> None:
    found = grid((4, 5, 6), "last").coords(np.array([0, 7, 119], dtype=">u8"), KEY, "sparse3d_data")
    np.testing.assert_array_equal(found, [[0, 0, 0], [0, 1, 1], [3, 4, 5]])


def test_no_voxel() -> None:
    found = grid((0, 0, 0), "last").coords(np.zeros(0, dtype=np.uint64), KEY, "sparse3d_data")
    assert found.shape == (0, 3)
    assert found.dtype == np.int32

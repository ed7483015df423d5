"""Frames: signed permutations with shifts, and positions and directions that follow the voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import random_event

from lartpc_sparse.data.frame import Frame
from lartpc_sparse.data.transforms import Crop, Flip, PermuteAxes, Rotate90, Translate

Parts = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def parts(dim: int) -> st.SearchStrategy[Parts]:
    """The arguments of a frame, which is built in the test: its run-time checks use the global generator."""
    signs = st.tuples(*[st.sampled_from([1, -1])] * dim)
    return st.tuples(st.permutations(range(dim)).map(tuple), signs, st.tuples(*[st.integers(-50, 50)] * dim))


def matrix(frame: Frame) -> np.ndarray:
    """The frame as a homogeneous matrix."""
    result = np.zeros((frame.dim + 1, frame.dim + 1))
    for row, (axis, sign, shift) in enumerate(zip(frame.axes, frame.signs, frame.shift, strict=True)):
        result[row, axis], result[row, -1] = sign, shift
    result[-1, -1] = 1
    return result


@given(st.sampled_from([2, 3]).flatmap(lambda dim: st.tuples(parts(dim), parts(dim))))
def test_frames_are_matrices(pair: tuple[Parts, Parts]) -> None:
    one, two = (Frame(*given) for given in pair)
    np.testing.assert_array_equal(matrix(one.then(two)), matrix(two) @ matrix(one))
    np.testing.assert_allclose(matrix(one.inverse()), np.linalg.inv(matrix(one)))
    assert one.then(one.inverse()) == Frame.identity(one.dim) == one.inverse().then(one)
    coords = np.random.default_rng(0).integers(0, 100, (5, one.dim), dtype=np.int32)
    expected = np.c_[coords, np.ones(5)] @ matrix(one).T
    np.testing.assert_array_equal(one.voxels(coords), expected[:, :-1])
    assert one.voxels(coords).dtype == np.int32
    np.testing.assert_array_equal(one.directions(coords.astype(float)), coords @ matrix(one)[:-1, :-1].T)


def test_a_position_stays_in_its_voxel() -> None:
    """A particle table in voxels follows flips, turns, shifts and crops: the vertex stays inside the same voxel."""
    event = random_event(3, 50)
    inside = event.coords + np.random.default_rng(1).uniform(0.01, 0.99, event.coords.shape)
    rng = np.random.default_rng(2)
    after = event
    for transform in (Flip(), Rotate90(), Translate(5), PermuteAxes(), Crop(16, shift_to_origin=True), Flip()):
        after = transform(after, rng)
        np.testing.assert_array_equal(np.floor(after.frame.positions(inside)).astype(np.int32), after.coords)
    assert after.frame.positions(inside.astype(np.float32)).dtype == np.float32
    ahead = inside + np.array([0.0, 0.0, 2.0])
    steps = after.frame.positions(ahead) - after.frame.positions(inside)
    np.testing.assert_allclose(steps, after.frame.directions(ahead - inside), atol=1e-9)
    assert np.isnan(after.frame.positions(np.full((1, 3), np.nan))).all()
    np.testing.assert_array_equal(after.frame.inverse().voxels(after.coords), event.coords)


@pytest.mark.parametrize("wrong", [((0, 0), (1, 1), (0, 0)), ((0, 1), (1, 2), (0, 0)), ((0, 1), (1, 1), (0,))])
def test_what_is_no_frame_is_refused(wrong: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="not a frame"):
        Frame(*wrong)
    with pytest.raises(ValueError, match="axes"):
        Frame.identity(2).then(Frame.identity(3))

"""Steps cut at the borders of voxels, against walking along them in small strides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.simulate.geant4.voxelise import split_steps


@given(st.integers(0, 10_000))
def test_pieces_are_those_of_walking_along(seed: int) -> None:
    rng = np.random.default_rng(seed)
    begin = rng.uniform(0, 6, (5, 3))
    end = begin + rng.normal(0, rng.choice([0.1, 3.0]), (5, 3))
    step, share, voxel = split_steps(begin, end)
    np.testing.assert_allclose(np.bincount(step, share, minlength=5), 1)
    assert (np.diff(step) >= 0).all()
    for number in range(5):
        strides = (np.arange(4000) + 0.5) / 4000
        cells = np.floor(begin[number] + strides[:, None] * (end[number] - begin[number])).astype(int)
        walked, counts = np.unique(cells, axis=0, return_counts=True)
        expected = {tuple(cell): count / 4000 for cell, count in zip(walked.tolist(), counts, strict=True)}
        found = {tuple(v): s for v, s in zip(voxel[step == number].tolist(), share[step == number], strict=True)}
        for cell in set(found) | set(expected):
            assert abs(found.get(cell, 0.0) - expected.get(cell, 0.0)) < 1e-3


def test_a_step_without_length_is_one_piece() -> None:
    point = np.array([[1.5, 2.5, 3.0]])
    step, share, voxel = split_steps(point, point)
    assert (step.tolist(), share.tolist(), voxel.tolist()) == ([0], [1.0], [[1, 2, 3]])


@pytest.mark.parametrize("sign", [1, -1])
def test_steps_that_end_on_a_border(sign: int) -> None:
    begin, end = np.array([[1.0, 1.5, 1.5]]), np.array([[3.0, 1.5, 1.5]])
    step, share, voxel = split_steps(begin, end) if sign > 0 else split_steps(end, begin)
    assert step.tolist() == [0, 0]
    assert share.tolist() == [0.5, 0.5]
    assert voxel[:, 0].tolist() == ([1, 2] if sign > 0 else [2, 1])


def test_no_steps() -> None:
    step, share, voxel = split_steps(np.zeros((0, 3)), np.zeros((0, 3)))
    assert len(step) == len(share) == len(voxel) == 0

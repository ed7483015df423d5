"""Sizes and distances of voxels against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lartpc_sparse.metrics.surroundings import cluster_sizes, distance_to_other_class, distance_to_points


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3]))
def test_against_brute_force(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 40))
    coords = rng.integers(0, 12, (n, dim)).astype(np.int32)
    semantic, instance = rng.integers(-1, 3, n), rng.integers(-1, 4, n)
    sizes, other = cluster_sizes(semantic, instance), distance_to_other_class(coords, semantic)
    limited = distance_to_other_class(coords, semantic, 2.0)
    points = rng.random((3, dim)).astype(np.float32) * 12
    near = distance_to_points(coords, points)
    for i in range(n):
        together = (semantic == semantic[i]) & (instance == instance[i])
        own = np.nan if min(semantic[i], instance[i]) < 0 else together.sum()
        assert sizes[i] == pytest.approx(own, nan_ok=True)
        others = coords[(semantic >= 0) & (semantic != semantic[i])]
        expected = np.linalg.norm(others - coords[i], axis=1).min() if len(others) else np.inf
        expected = np.nan if semantic[i] < 0 else expected
        assert other[i] == pytest.approx(expected, nan_ok=True)
        assert limited[i] == pytest.approx(expected if not expected > 2 else np.inf, nan_ok=True)
        assert near[i] == pytest.approx(np.linalg.norm(points - coords[i] - 0.5, axis=1).min(), rel=1e-5)


def test_edges() -> None:
    one = np.zeros((1, 3), dtype=np.int32)
    assert np.isnan(distance_to_points(one, np.empty((0, 3), dtype=np.float32))).all()
    assert distance_to_points(one[:0], np.zeros((1, 3), dtype=np.float32)).shape == (0,)
    assert distance_to_other_class(one, np.array([2])).tolist() == [np.inf]
    assert cluster_sizes(np.array([0]), np.array([7])).tolist() == [1]
    assert cluster_sizes(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)).shape == (0,)

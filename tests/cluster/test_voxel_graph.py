"""Pairs of near voxels and average linkage, compiled and not, against all pairs and all links."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lartpc_sparse.cluster import voxel_graph
from lartpc_sparse.cluster.voxel_graph import agglomerate, near_pairs
from lartpc_sparse.metrics.clustering import adjusted_rand_index, contingency

both = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["compiled", "python"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "python":
        monkeypatch.setattr(voxel_graph, "missing_reason", lambda: "no compiler")
    elif voxel_graph.missing_reason() is not None:
        pytest.skip("the C++ kernels were not built")
    return iter(())


@both
@given(
    dim=st.integers(1, 4),
    n=st.integers(0, 40),
    reach=st.integers(1, 4),
    far=st.sets(st.integers(5, 20)),
    spread=st.sampled_from([3, 8, 1000]),
    seed=st.integers(0, 2**31),
)
def test_pairs_are_all_pairs(dim: int, n: int, reach: int, far: set[int], spread: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(-spread, spread, (n, dim)), axis=0).astype(np.int32)
    rng.shuffle(coords)
    label = rng.integers(-1, 3, len(coords))
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(len(coords)), 2)
        if label[i] == label[j] >= 0 and ((distance := np.abs(coords[i] - coords[j]).max()) <= reach or distance in far)
    }
    found = [tuple(sorted(pair)) for pair in near_pairs(coords, label, reach, sorted(far)).tolist()]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_coordinates_too_wide_for_a_key_are_searched_all_the_same() -> None:
    coords = np.array([[0, 0, 0, 0], [2**30, 2**30, 2**30, 0], [2**30, 2**30, 2**30, 1]], dtype=np.int32)
    assert near_pairs(coords, np.zeros(3, dtype=np.int64), 1).tolist() == [[1, 2]]


def test_more_pairs_than_expected_are_all_found() -> None:
    coords = np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3).astype(np.int32)
    assert len(near_pairs(coords, np.zeros(125, dtype=np.int64), 4)) == 125 * 124 // 2


def test_a_reach_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above the reach of 2"):
        near_pairs(np.zeros((1, 3), np.int32), np.zeros(1, np.int64), 2, [2])
    with pytest.raises(ValueError, match="at least 1"):
        near_pairs(np.zeros((1, 3), np.int32), np.zeros(1, np.int64), 0)


def naive_average_linkage(pairs: np.ndarray, scores: np.ndarray, nodes: int, threshold: float) -> np.ndarray:
    """All links are looked at again after every merge."""
    cluster = np.arange(nodes)
    while True:
        best, which = -1.0, None
        for a, b in itertools.combinations(np.unique(cluster).tolist(), 2):
            ends = cluster[pairs]
            between = ((ends == (a, b)).all(axis=1)) | ((ends == (b, a)).all(axis=1))
            if between.any() and scores[between].mean() > best:
                best, which = float(scores[between].mean()), (a, b)
        if which is None or best < threshold:
            return cluster
        cluster[cluster == which[1]] = which[0]


@both
@given(
    n=st.integers(1, 9), share=st.floats(0.1, 1), threshold=st.sampled_from([0.0, 0.3, 0.6]), seed=st.integers(0, 2**31)
)
def test_average_linkage_is_the_definition(n: int, share: float, threshold: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    every = np.array(list(itertools.combinations(range(n), 2)), dtype=np.int64).reshape(-1, 2)
    pairs = every[rng.random(len(every)) < share]
    scores = rng.random(len(pairs)).astype(np.float32)  # equal means have probability 0
    found = agglomerate(pairs, scores, n, threshold=threshold, certain=2.0)
    expected = naive_average_linkage(pairs, scores.astype(float), n, threshold)
    assert adjusted_rand_index(contingency(expected, found)) == 1.0
    assert found[0] == 0
    assert set(found) == set(range(found.max() + 1))


def test_one_wrong_edge_does_not_join_two_tracks() -> None:
    pairs = np.array([[0, 1], [1, 2], [3, 4], [4, 5], [1, 4], [2, 3], [2, 5]])
    scores = np.array([0.9, 0.9, 0.9, 0.9, 0.8, 0.1, 0.1], dtype=np.float32)
    assert agglomerate(pairs, scores, 6, threshold=0.5).tolist() == [0, 0, 0, 1, 1, 1]
    assert agglomerate(pairs, scores, 6, threshold=0.5, certain=0.7).tolist() == [0] * 6  # connected components


def test_nothing_to_join() -> None:
    nothing = np.empty((0, 2), dtype=np.int64)
    assert agglomerate(nothing, np.empty(0, np.float32), 3, threshold=0.5).tolist() == [0, 1, 2]
    assert agglomerate(nothing, np.empty(0, np.float32), 0, threshold=0.5).tolist() == []


@pytest.mark.parametrize(
    ("pairs", "scores", "says"),
    [
        ([[0, 3]], [0.5], "0..2"),
        ([[-1, 1]], [0.5], "-1..1"),
        ([[0, 1]], [np.nan], "not finite"),
    ],
)
def test_wrong_graphs_are_refused(pairs: list[list[int]], scores: list[float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        agglomerate(np.array(pairs), np.array(scores, np.float32), 3, threshold=0.5)

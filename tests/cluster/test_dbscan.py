from __future__ import annotations

import numpy as np
import pytest

from lartpc_sparse.cluster import connected_components, dbscan


def dbscan_slowly(coords, eps, min_samples):
    """Core voxels joined by breadth-first search; a border voxel belongs to the first core cluster that reaches it."""
    distance = np.sqrt(((coords[:, None] - coords[None]) ** 2).sum(axis=2))
    near = distance <= eps
    core = near.sum(axis=1) >= min_samples
    cluster, k = np.full(len(coords), -1), 0
    for start in range(len(coords)):
        if not core[start] or cluster[start] >= 0:
            continue
        cluster[start], queue = k, [start]
        while queue:
            i = queue.pop(0)
            for j in np.flatnonzero(near[i] & (cluster < 0)):
                cluster[j] = k
                if core[j]:
                    queue.append(j)
        k += 1
    return cluster


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("eps", "min_samples"), [(1.0, 2), (1.8, 3), (2.5, 6)])
def test_equals_the_naive_reference(seed, eps, min_samples):
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 9, (90, 3)), axis=0)
    labels = rng.integers(-1, 2, len(coords))
    expected, offset = np.full(len(coords), -1), 0
    for label in (0, 1):
        rows = labels == label
        alone = dbscan_slowly(coords[rows], eps, min_samples)
        expected[rows] = np.where(alone >= 0, alone + offset, -1)
        offset += alone.max(initial=-1) + 1
    found = dbscan(coords, eps, min_samples, labels)
    assert found.dtype == np.int64
    assert found.tolist() == expected.tolist()


def test_with_one_sample_and_diagonal_reach_it_is_connected_components():
    coords = np.unique(np.random.default_rng(1).integers(0, 12, (150, 3)), axis=0)
    assert dbscan(coords, 1.75, 1).tolist() == connected_components(coords).tolist()


def test_noise_is_minus_one():
    assert dbscan(np.array([[0, 0], [0, 1], [9, 9]]), 1.5, 2).tolist() == [0, 0, -1]


def test_empty_and_unlabelled():
    assert dbscan(np.zeros((0, 3), np.int32), 1.0, 1).shape == (0,)
    assert dbscan(np.zeros((2, 3), np.int32), 1.0, 1, np.array([-1, -1])).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3, np.int32), 1.0, 1), "shape"),
        ((np.zeros((3, 2), np.int32), 1.0, 1, np.zeros(2, np.int64)), "labels have shape"),
        ((np.zeros((3, 2), np.int32), 0.0, 1), "eps"),
        ((np.zeros((3, 2), np.int32), np.nan, 1), "eps"),
        ((np.zeros((3, 2), np.int32), 1.0, 0), "min_samples"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_refuses_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        dbscan(*arguments)

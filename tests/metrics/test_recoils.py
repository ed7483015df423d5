"""Recoils found by clusters, fakes, and the exact binomial interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from lartpc_sparse.metrics.proportions import proportion
from lartpc_sparse.metrics.recoils import match_recoils


def test_a_recoil_is_found_by_the_cluster_with_most_of_its_light() -> None:
    cluster = np.array([0, 0, 1, 1, 1, 2, -1])
    recoil = np.array([0, 0, 0, 1, 1, -1, 1])
    light = np.array([5.0, 4, 1, 1, 1, 0, 9])
    match = match_recoils(cluster, recoil, light, np.array([10.0, 11.0]), min_share=0.3, min_purity=0.1)
    assert match.cluster.tolist() == [0, -1]  # recoil 1 has 2 of 11 in a cluster
    assert match.fake.tolist() == [False, False, True]


def test_a_cluster_that_is_mostly_noise_finds_nothing_and_is_a_fake() -> None:
    cluster = np.zeros(100, dtype=np.int64)
    recoil = np.append(np.zeros(4, dtype=np.int64), np.full(96, -1))
    light = np.where(recoil == 0, 1.0, 0.0)
    match = match_recoils(cluster, recoil, light, np.array([4.0]), min_share=0.3, min_purity=0.05)
    assert match.cluster.tolist() == [-1]
    assert match.fake.tolist() == [True]
    pure = match_recoils(cluster, recoil, light, np.array([4.0]), min_share=0.3, min_purity=0.04)
    assert pure.cluster.tolist() == [0]


def test_no_clusters_and_no_recoils() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    match = match_recoils(nothing, nothing, np.zeros(0), np.array([3.0]), min_share=0.3, min_purity=0.1)
    assert match.cluster.tolist() == [-1]
    assert len(match.fake) == 0
    match = match_recoils(np.array([0]), np.array([-1]), np.zeros(1), np.zeros(0), min_share=0.3, min_purity=0.1)
    assert len(match.cluster) == 0
    assert match.fake.tolist() == [True]


@pytest.mark.parametrize(("part", "whole"), [(0, 10), (3, 10), (10, 10), (95, 100)])
def test_the_exact_interval_is_that_of_clopper_and_pearson(part: int, whole: int) -> None:
    found = proportion(part, whole, 0.95, "exact")
    low = beta.ppf(0.025, part, whole - part + 1) if part else 0.0
    high = beta.ppf(0.975, part + 1, whole - part) if part < whole else 1.0
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))

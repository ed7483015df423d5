"""Tolerant counts, earth mover's distance, crossings and broken tracks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from lartpc_sparse.metrics.broken_tracks import continuity_summary, crossed_tracks
from lartpc_sparse.metrics.earth_mover import earth_mover_distance
from lartpc_sparse.metrics.gap_crossings import Crossing, crossing_summary, profile_of, score_crossing
from lartpc_sparse.metrics.voxel_counts import TolerantCounts, count_tolerant


def voxels(seed: int, n: int, side: int = 6) -> np.ndarray:
    return np.unique(np.random.default_rng(seed).integers(0, side, (n, 3)), axis=0).astype(np.int32)


@given(st.integers(0, 100), st.integers(0, 15), st.integers(0, 15))
def test_tolerant_counts_equal_a_loop(seed: int, n: int, m: int) -> None:
    first, second = voxels(seed, n), voxels(seed + 1, m)

    def near(a: np.ndarray, b: np.ndarray) -> int:
        return sum(any(np.abs(x - y).max() <= 1 for y in b) for x in a)

    expected = TolerantCounts(len(first), len(second), near(first, second), near(second, first))
    assert count_tolerant(first, second) == expected


def test_scores_of_nothing_are_undefined() -> None:
    assert TolerantCounts().scores() == {"precision": None, "recall": None, "f1": None}
    assert TolerantCounts(0, 3).scores() == {"precision": None, "recall": 0.0, "f1": 0.0}


@given(st.integers(0, 50))
def test_earth_mover_on_a_line_equals_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.choice(30, 7, replace=False), rng.choice(30, 5, replace=False)
    p, q = rng.random(7), rng.random(5)
    found = earth_mover_distance(a[:, None], p, b[:, None], q)
    assert found == pytest.approx(wasserstein_distance(a, b, p, q), abs=1e-6)


def test_earth_mover_of_nothing_is_undefined() -> None:
    none, one = np.empty((0, 3), np.int32), np.zeros((1, 3), np.int32)
    assert earth_mover_distance(none, np.empty(0), one, np.ones(1)) is None
    assert earth_mover_distance(one, np.zeros(1), one, np.ones(1)) is None
    assert earth_mover_distance(one, np.ones(1), one + 3, np.full(1, 9.0)) == pytest.approx(np.sqrt(27))


def crossing(width: float, kind: str, charge: float) -> Crossing:
    true = np.array([[x, 0, 0] for x in range(4)], np.int32)
    ends = (np.array([-1.0, 0.0, 0.0]), np.array([4.0, 0.0, 0.0]))
    energy = np.ones(4)
    score = score_crossing(true, energy, true[:3], np.full(3, charge / 3), ends, earth_mover=False)
    return Crossing(0, width, 10.0, float("nan"), kind, 5.0, 4, 4.0, profile_of(true, energy, ends), {"network": score})


def test_crossings_are_summed_in_bins() -> None:
    found = [crossing(5, "MIP", 4.0), crossing(10, "MIP", 2.0), crossing(12, "HIP", 3.0)]
    result = crossing_summary(found, {"width": (0, 10), "vertex_distance": (0,)}, 0.3)
    json.dumps(result, allow_nan=False)
    assert result["crossings"] == 3
    assert result["methods"]["network"]["recall"] == pytest.approx(0.75)
    assert result["methods"]["network"]["charge"]["median"] == pytest.approx(0.75)
    low, high = result["against"]["width"]
    assert (low["crossings"], high["crossings"], high["to"]) == (1, 2, None)
    assert low["methods"]["network"]["charge"]["median"] == pytest.approx(1.0)
    assert result["against"]["vertex_distance"][0] == {"from": 0.0, "to": None, "crossings": 0, "methods": {}}
    assert [one["name"] for one in result["against"]["class"]] == ["HIP", "MIP"]
    assert sum(result["dedx"]["true"]) / 10 * 3 * 5 * 0.3 == pytest.approx(12.0)


def test_a_track_is_whole_broken_or_lost() -> None:
    side = np.repeat([0, 1], 5).astype(np.int64)
    track = np.zeros(10, np.int64)
    whole = crossed_tracks(np.zeros(10, np.int64), track, track, side)
    assert [(one.broken, one.efficiency, one.purity) for one in whole] == [(False, 1.0, 1.0)]
    broken = crossed_tracks(side, track, track, side)
    assert [(one.broken, one.efficiency) for one in broken] == [(True, 0.5)]
    lost = crossed_tracks(np.full(10, -1), track, track, side)
    assert [(one.broken, one.efficiency, one.purity) for one in lost] == [(True, 0.0, 0.0)]
    assert crossed_tracks(side, track, track, side, min_voxels=6) == []
    shared = np.concatenate([np.zeros(10, np.int64), np.zeros(10, np.int64)])
    two = np.repeat([0, -1], 10).astype(np.int64)
    (one,) = crossed_tracks(shared, two, np.repeat([0, 1], 10), np.tile(side, 2))
    assert one.purity == 0.5
    assert continuity_summary([*whole, *broken])["broken"] == 0.5
    assert continuity_summary([])["broken"] is None

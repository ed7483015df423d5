"""Scores of particles, angles between touching ones, and ratios of resampled events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.metrics.clustering import clustering_scores
from lartpc_sparse.metrics.particle_scores import particle_scores
from lartpc_sparse.metrics.ratio_bootstrap import resampled_ratios, with_interval
from lartpc_sparse.metrics.touching_angles import smallest_touching_angles

pairs = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), max_size=40)


@given(pairs)
def test_scores_are_those_of_loops(rows: list[tuple[int, int]]) -> None:
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    truth, found = table[:, 0], table[:, 1].copy()
    scores = particle_scores(truth, found)
    lone = np.flatnonzero(found < 0)
    found[lone] = 100 + lone  # clusters of their own
    kept = truth >= 0
    for k, name in enumerate(sorted(set(truth[kept].tolist()))):
        own = set(np.flatnonzero(truth == name).tolist())
        best = (-1.0, -1, 0)
        for other in sorted(set(found[kept].tolist())):
            said = set(np.flatnonzero((found == other) & kept).tolist())
            both = len(own & said)
            if both and (2 * both / (len(own) + len(said)), both) > best[:2]:
                best = (2 * both / (len(own) + len(said)), both, len(said))
        assert scores.voxels[k] == len(own)
        assert scores.dice[k] == pytest.approx(best[0])
        assert scores.efficiency[k] == pytest.approx(best[1] / len(own))
        assert scores.purity[k] == pytest.approx(best[1] / best[2])
        union = len(own) + best[2] - best[1]
        assert scores.jaccard[k] == pytest.approx(best[1] / union)
    assert len(scores.voxels) == len(set(truth[kept].tolist()))


@given(pairs)
def test_the_mean_dice_bounds_the_symmetric_one(rows: list[tuple[int, int]]) -> None:
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    scores = clustering_scores(table[:, 0], table[:, 1])
    if scores is not None:
        assert scores.sbd <= particle_scores(table[:, 0], table[:, 1]).dice.mean() + 1e-12


def lines(*parts: tuple[tuple[int, int, int], tuple[int, int, int], int]) -> tuple[np.ndarray, np.ndarray]:
    coords = [np.array(start) + np.arange(number)[:, None] * np.array(step) for start, step, number in parts]
    return np.concatenate(coords).astype(np.int32), np.repeat(np.arange(len(parts)), [part[2] for part in parts])


@pytest.mark.parametrize(
    ("second", "angle"),
    [
        (((50, 51, 50), (0, 1, 0), 12), 90.0),
        (((51, 51, 50), (1, 1, 0), 12), 45.0),
        (((49, 50, 50), (-1, 0, 0), 12), 180.0),  # goes on behind the start of the first
        (((49, 51, 50), (-1, 1, 0), 12), 135.0),
        (((56, 40, 51), (0, 1, 0), 21), 90.0),  # crosses it in the middle
        (((56, 51, 50), (1, 1, 0), 12), 45.0),  # leaves it in the middle
        (((56, 51, 50), (-1, 1, 0), 12), 45.0),  # the same, backwards
    ],
)
def test_angles_by_hand(second: tuple[tuple[int, int, int], tuple[int, int, int], int], angle: float) -> None:
    coords, truth = lines(((50, 50, 50), (1, 0, 0), 13), second)
    found = smallest_touching_angles(coords, truth, radius=6.0)
    np.testing.assert_allclose(found, [angle, angle], atol=1e-4)


def test_the_smallest_angle_counts_and_what_touches_nothing_has_none() -> None:
    coords, truth = lines(
        ((50, 50, 50), (1, 0, 0), 12),
        ((50, 51, 50), (0, 1, 0), 12),
        ((51, 51, 51), (1, 1, 1), 12),
        ((9, 9, 9), (1, 0, 0), 8),
    )
    shuffled = np.random.default_rng(0).permutation(len(truth))
    names = np.array([7, 3, 9, 20])
    found = smallest_touching_angles(coords[shuffled], names[truth][shuffled], radius=10.0)
    diagonal = np.degrees(np.arccos(1 / np.sqrt(3)))
    np.testing.assert_allclose(found, [diagonal, diagonal, diagonal, np.nan], atol=1e-4)  # ids 3, 7, 9, 20


def test_nothing_has_no_angle() -> None:
    none = np.empty((0, 3), dtype=np.int32)
    assert smallest_touching_angles(none, np.empty(0, dtype=np.int64), 5.0).shape == (0,)
    coords, truth = lines(((0, 0, 0), (1, 0, 0), 2), ((0, 1, 0), (1, 0, 0), 2))
    assert np.isnan(smallest_touching_angles(coords, truth, 5.0)).all()  # too few voxels
    assert smallest_touching_angles(coords, np.full(4, -1), 5.0).shape == (0,)


def test_ratios_are_those_of_the_drawn_events() -> None:
    rng = np.random.default_rng(0)
    parts, wholes = rng.integers(0, 5, (30, 3)), rng.integers(5, 9, (30, 3))
    value, sets = resampled_ratios(parts, wholes, 400, 3)
    np.testing.assert_allclose(value, parts.sum(axis=0) / wholes.sum(axis=0))
    assert sets.shape == (400, 3)
    again, same = resampled_ratios(parts + 1, wholes, 400, 3)
    assert (same > sets).all()  # the same events are drawn
    assert (again > value).all()
    share = with_interval(float(value[0]), sets[:, 0], 0.68)
    assert share is not None
    assert share["low"] < share["value"] < share["high"]
    spread = np.std(sets[:, 0])
    assert share["high"] - share["low"] == pytest.approx(2 * spread, rel=0.2)


def test_undefined_ratios() -> None:
    value, sets = resampled_ratios(np.zeros((2, 1)), np.zeros((2, 1)), 10, 0)
    assert with_interval(float(value[0]), sets[:, 0], 0.68) is None
    assert with_interval(0.5, np.full(10, np.nan), 0.68) == {"value": 0.5, "low": None, "high": None}
    assert with_interval(0.5, np.empty(0), 0.68) == {"value": 0.5, "low": None, "high": None}

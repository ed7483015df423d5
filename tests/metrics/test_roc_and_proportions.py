"""Curves over a cut against scikit-learn; intervals against scipy and in repeated experiments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from lartpc_sparse.metrics.proportions import bootstrap_interval, bootstrap_sums, proportion
from lartpc_sparse.metrics.roc import count_at_cuts, fraction_cuts, roc, score_cuts


@pytest.mark.parametrize("seed", range(3))
def test_roc_against_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(500) < 0.3
    on_grid = np.round(np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1), 2)
    cuts = fraction_cuts(0.2)
    found = roc(count_at_cuts(on_grid, positive, cuts), cuts)
    assert found is not None
    assert found["auc"] == pytest.approx(roc_auc_score(positive, on_grid), abs=1e-12)
    crowded = 1 / (1 + np.exp(-rng.normal(6.0 * positive - 3, 3, 500)))
    between = roc(count_at_cuts(crowded, positive, score_cuts(0.5)), score_cuts(0.5))
    assert between is not None
    assert between["auc"] == pytest.approx(roc_auc_score(positive, crowded), abs=2e-3)


def test_counts_at_cuts_add_up_and_match_a_loop() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.random(200), rng.random(200) < 0.5
    score[:5] = [0.0, 0.5, 0.5, 1.0, np.nextafter(0.5, 0)]
    cuts = score_cuts(0.5, 0.123)
    counts = count_at_cuts(score, positive, cuts)
    for place, cut in enumerate(cuts):
        assert counts[1, 1 + place] == ((score >= cut) & positive).sum()
        assert counts[0, 1 + place] == ((score >= cut) & ~positive).sum()
    assert counts[:, 0].tolist() == [(~positive).sum(), positive.sum()]
    parts = [count_at_cuts(score[rows], positive[rows], cuts) for rows in (slice(0, 77), slice(77, 200), slice(0, 0))]
    np.testing.assert_array_equal(sum(parts), counts)


def test_curve_keeps_every_point_that_matters() -> None:
    cuts = fraction_cuts()
    found = roc(count_at_cuts(np.array([0.3, 0.7, 0.5]), np.array([False, True, True]), cuts), cuts)
    assert found is not None
    assert found["auc"] == 1
    assert len(found["cut"]) < 12
    assert dict(zip(found["cut"], found["efficiency"], strict=True))[0.7] == 0.5
    assert set(zip(found["mistag"], found["efficiency"], strict=True)) == {(1, 1), (0, 1), (0, 0.5), (0, 0)}


@pytest.mark.parametrize("positive", [True, False])
def test_no_curve_of_one_kind_only(positive: bool) -> None:
    cuts = fraction_cuts()
    assert roc(count_at_cuts(np.array([0.5]), np.array([positive]), cuts), cuts) is None


def test_proportion() -> None:
    found = proportion(3, 20)
    expected = binomtest(3, 20).proportion_ci(0.68, method="wilson")
    assert (found["value"], found["low"], found["high"]) == (0.15, expected.low, expected.high)
    assert proportion(0, 0)["value"] is None
    assert proportion(0, 10)["low"] == pytest.approx(0)
    with pytest.raises(ValueError, match="no proportion"):
        proportion(3, 2)


def test_bootstrap_of_a_ratio_covers_the_truth() -> None:
    """300 samples of 40 events whose sizes and shares vary: the interval holds the truth in about 68 %."""
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        size = rng.integers(50, 500, 40)
        counts = np.stack([rng.binomial(size, rng.beta(2, 6, 40)), size], axis=1)
        sums = bootstrap_sums(counts, 200, seed)
        interval = bootstrap_interval(sums[:, 0] / sums[:, 1])
        assert interval is not None
        hits += interval[0] <= 0.25 <= interval[1]
    assert 0.58 < hits / 300 < 0.76


def test_bootstrap_keeps_an_event_together_and_repeats() -> None:
    counts = np.array([[1, 2], [10, 20], [100, 200]])
    sums = bootstrap_sums(counts, 150, 3)
    np.testing.assert_allclose(sums[:, 1], 2 * sums[:, 0])
    np.testing.assert_array_equal(sums, bootstrap_sums(counts, 150, 3))
    assert bootstrap_sums(np.empty((0, 2), dtype=np.int64), 5, 0).tolist() == [[0, 0]] * 5
    assert bootstrap_interval(np.array([np.nan])) is None

"""Binned rates against loops, their intervals against scipy and against resampled events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from lartpc_sparse.metrics.binned_rates import BinnedRates, wilson_interval


@pytest.mark.parametrize(("right", "trials"), [(0, 7), (7, 7), (3, 11), (999, 1000)])
def test_wilson_against_scipy(right: int, trials: int) -> None:
    low, high = wilson_interval(np.array([right / trials]), np.array([float(trials)]), 0.68)
    expected = binomtest(right, trials).proportion_ci(0.68, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_counts_and_rates_against_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = (0.2, 0.5)
    rates = BinnedRates(edges, 3)
    rows: list[tuple[int, float, bool]] = []
    for _ in range(4):
        n = int(rng.integers(0, 30))
        group, right = rng.integers(-1, 3, n), rng.random(n) < 0.5
        values = np.where(rng.random(n) < 0.1, np.nan, np.where(rng.random(n) < 0.2, 0.5, rng.random(n)))
        values[rng.random(n) < 0.1] = np.inf
        rates.update(group, values, right)
        rows += [row for row in zip(group.tolist(), values.tolist(), right.tolist(), strict=True) if row[0] >= 0]
    for wanted in (None, 0, 1, 2):
        found = rates.rates(wanted, 0.68)
        for place, (low, high) in enumerate([(-np.inf, 0.2), (0.2, 0.5), (0.5, np.inf)]):
            inside = [(v, r) for g, v, r in rows if wanted in (None, g) and low <= v and (v < high or high == np.inf)]
            assert found.n[place] == len(inside)
            if inside:
                assert found.rate[place] == pytest.approx(np.mean([r for _, r in inside]))
                assert found.low[place] <= found.rate[place] <= found.high[place]
            finite = [v for v, _ in inside if np.isfinite(v)]
            if finite:
                assert found.mean[place] == pytest.approx(np.mean(finite))


def test_the_interval_is_that_of_resampled_events() -> None:
    """Events differ in their accuracy: the interval follows the events, not the voxels."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 400, 300)
    right = np.array([rng.binomial(n, np.clip(rng.normal(0.9, 0.08), 0, 1)) for n in sizes])
    rates = BinnedRates((), 1)
    for n, k in zip(sizes, right, strict=True):
        rates.update(np.zeros(n, dtype=np.int64), np.ones(n), np.arange(n) < k)
    found = rates.rates(0, 0.68)
    drawn = rng.integers(300, size=(4000, 300))
    resampled = right[drawn].sum(1) / sizes[drawn].sum(1)
    expected = np.quantile(resampled, [0.16, 0.84])
    assert (found.low[0], found.high[0]) == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    naive = wilson_interval(found.rate, found.n.astype(float), 0.68)
    assert found.high[0] - found.low[0] > 3 * (naive[1][0] - naive[0][0])


def test_independent_voxels_have_the_binomial_interval() -> None:
    rng = np.random.default_rng(1)
    rates = BinnedRates((), 1)
    for _ in range(3000):
        rates.update(np.zeros(30, dtype=np.int64), np.ones(30), rng.random(30) < 0.8)
    found = rates.rates(None, 0.68)
    low, high = wilson_interval(found.rate, found.n.astype(float), 0.68)
    assert found.high[0] - found.low[0] == pytest.approx(high[0] - low[0], rel=0.1)


def test_nothing_wrong_one_event_and_nothing_at_all() -> None:
    rates = BinnedRates((), 1)
    empty = rates.rates(None, 0.68)
    assert empty.n[0] == 0
    assert np.isnan([empty.rate[0], empty.low[0], empty.high[0], empty.mean[0]]).all()
    rates.update(np.zeros(5000, dtype=np.int64), np.ones(5000), np.ones(5000, dtype=bool))
    perfect = rates.rates(None, 0.68)
    assert perfect.rate[0] == perfect.high[0] == 1
    assert perfect.low[0] == pytest.approx(binomtest(1, 1).proportion_ci(0.68, method="wilson").low)
    rates.update(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=bool))
    assert rates.rates(None, 0.68).low[0] == perfect.low[0]


def test_bad_edges_are_refused() -> None:
    for edges in ((1.0, 1.0), (2.0, 1.0), (np.nan,), (np.inf,)):
        with pytest.raises(ValueError, match="edges"):
            BinnedRates(edges, 1)

"""Intervals of scores against plain resampling and against the scores of single matrices."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from lartpc_sparse.metrics.event_bootstrap import (
    bootstrap_intervals,
    resampled_sums,
    stacked_scores,
    track_shower_sums,
)
from lartpc_sparse.metrics.segmentation import segmentation_scores, track_shower_confusion

NAMES = ("HIP", "MIP", "shower", "delta", "Michel")


def confusions(events: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (events, 5, 6)) + rng.poisson(30, (events, 1, 1)) * np.eye(5, 6, dtype=np.int64)
    counts[:, 4] *= rng.random((events, 1)) < 0.2  # few events have a Michel
    return counts.astype(np.int32)


def flat(value: dict[str, Any], prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, item in value.items():
        found |= flat(item, (*prefix, name)) if isinstance(item, dict) else {(*prefix, name): item}
    return found


def test_scores_of_many_matrices_are_those_of_each() -> None:
    many = confusions(20)
    many[3] = 0
    many[4, :, 2] = 0
    found = flat(stacked_scores(many, NAMES))
    for number, one in enumerate(many):
        expected = {key: value for key, value in flat(segmentation_scores(one, NAMES)).items() if key[-1] != "n"}
        assert set(expected) == set(found)
        for key, value in expected.items():
            assert found[key][number] == pytest.approx(np.nan if value is None else value, nan_ok=True), key


def test_two_classes_of_many_matrices_are_those_of_each() -> None:
    many = confusions(5)
    found = track_shower_sums(many, NAMES)
    assert found is not None
    for one, two in zip(many, found, strict=True):
        np.testing.assert_array_equal(two, track_shower_confusion(one, NAMES))
    assert track_shower_sums(many, ("a", "b", "c", "d", "track")) is None


def test_sums_are_of_events_drawn_with_replacement() -> None:
    counts = np.array([[1, 1], [10, 1], [100, 1]])
    sums = resampled_sums(counts, 3000, seed=4)
    assert (sums[:, 1] == 3).all()
    digits = np.stack([sums[:, 0] // 100, sums[:, 0] // 10 % 10, sums[:, 0] % 10], axis=1)
    assert (digits.sum(axis=1) == 3).all()
    np.testing.assert_allclose(digits.mean(axis=0), 1, atol=0.07)
    np.testing.assert_allclose(digits.var(axis=0), 3 * (1 / 3) * (2 / 3), atol=0.07)
    np.testing.assert_array_equal(sums, resampled_sums(counts, 3000, seed=4))
    assert (sums != resampled_sums(counts, 3000, seed=5)).any()


def test_intervals_against_a_plain_bootstrap() -> None:
    many = confusions(60)
    found = bootstrap_intervals(many, NAMES, 2000, seed=0)
    assert found is not None
    rng = np.random.default_rng(9)
    scores = [segmentation_scores(many[rng.integers(60, size=60)].sum(0), NAMES) for _ in range(2000)]
    for keys in (
        ("accuracy",),
        ("macro", "f1"),
        ("per_class", "Michel", "recall"),
        ("per_class", "delta", "precision"),
    ):
        value, interval = scores, found
        values = []
        for score in scores:
            value = score
            for key in keys:
                value = value[key]
            values.append(value)
        for key in keys:
            interval = interval[key]
        for level, quantiles in (("68", [0.16, 0.84]), ("95", [0.025, 0.975])):
            expected = np.quantile(values, quantiles)
            assert interval[level] == pytest.approx(expected, abs=0.15 * (expected[1] - expected[0])), keys
    assert found["track_shower"]["per_class"]["track"]["recall"]["68"][0] > 0.8


def test_undefined_scores_and_too_few_events() -> None:
    many = confusions(30)
    many[:, 4] = 0
    many[:, :, 4] = 0
    found = bootstrap_intervals(many, NAMES, 100, seed=0)
    assert found is not None
    assert found["per_class"]["Michel"] == dict.fromkeys(("recall", "precision", "f1", "iou"))
    assert bootstrap_intervals(many[:1], NAMES, 100, seed=0) is None
    assert bootstrap_intervals(many[:0], NAMES, 100, seed=0) is None
    assert bootstrap_intervals(many, NAMES, 0, seed=0) is None


def test_many_events_are_fast() -> None:
    """10^5 events with 1000 replicates: a tenth of the replicates here, in a tenth of the time."""
    many = np.tile(confusions(1000), (100, 1, 1))
    start = time.process_time()
    bootstrap_intervals(many, NAMES, 100, seed=0)
    assert time.process_time() - start < 5

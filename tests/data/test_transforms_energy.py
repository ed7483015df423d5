"""Merging, thresholds and scaling of energies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import Recipe, make_event, random_event, recipes
from pydantic import ValidationError

from lartpc_sparse.data.transforms import (
    EnergyThreshold,
    EnergyThresholdConfig,
    LogEnergy,
    LogEnergyConfig,
    MaskBoxes,
    MergeDuplicates,
    MergeDuplicatesConfig,
    ScaleEnergy,
    ScaleEnergyConfig,
    Transform,
)
from lartpc_sparse.schema import BadEventError, UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(recipes(duplicates=True))
@settings(max_examples=100, deadline=None)
def test_merge_duplicates_equals_a_plain_loop(recipe: Recipe) -> None:
    event = recipe.event()
    merged = MergeDuplicates()(event, rng())
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, voxel in enumerate(event.coords.tolist()):
        groups.setdefault(tuple(voxel), []).append(row)
    assert [tuple(voxel) for voxel in merged.coords.tolist()] == sorted(groups)
    for here, voxel in enumerate(sorted(groups)):
        rows = groups[voxel]
        leading = max(rows, key=lambda row: (event.energy[row], -row))
        np.testing.assert_allclose(merged.energy[here], sum(float(event.energy[r]) for r in rows), rtol=1e-6)
        assert merged.feats[here, 0] == merged.energy[here]
        for name in event.labels:
            assert merged.labels[name][here] == event.labels[name][leading]
        assert merged.inverse_index[rows].tolist() == [here] * len(rows)


def test_merge_duplicates_by_hand() -> None:
    event = make_event([[2, 2, 2], [1, 1, 1], [2, 2, 2]], [1.0, 5.0, 3.0], semantic=[0, 1, 2])
    event = event.replace(feats=np.array([[1, 7], [5, 8], [3, 9]], np.float32))
    merged = MergeDuplicates()(event, rng())
    assert merged.coords.tolist() == [[1, 1, 1], [2, 2, 2]]
    assert merged.energy.tolist() == [5.0, 4.0]
    assert merged.labels["semantic"].tolist() == [1, 2]
    assert merged.feats.tolist() == [[5.0, 8.0], [4.0, 9.0]]  # the second feature is not the energy: not summed
    assert merged.inverse_index.tolist() == [1, 0, 1]
    assert event.energy.tolist() == [1.0, 5.0, 3.0]


def test_merge_duplicates_after_a_selection() -> None:
    event = make_event([[0, 0, 0], [1, 1, 1], [0, 0, 0], [0, 0, 0]]).select(np.array([3, 1, 2]))
    merged = MergeDuplicates()(event, rng())
    assert merged.inverse_index.tolist() == [-1, 1, 0, 0]


@given(recipes(duplicates=True))
@settings(max_examples=30, deadline=None)
def test_merge_duplicates_twice_is_once(recipe: Recipe) -> None:
    event = recipe.event()
    once = MergeDuplicates()(event, rng())
    twice = MergeDuplicates()(once, rng())
    np.testing.assert_array_equal(once.coords, twice.coords)
    np.testing.assert_array_equal(once.energy, twice.energy)
    np.testing.assert_array_equal(once.inverse_index, twice.inverse_index)


def test_energy_threshold_keeps_the_border() -> None:
    event = make_event([[i, 0, 0] for i in range(5)], [0.04, 0.05, 1.0, 300.0, 301.0])
    assert EnergyThreshold(0.05)(event, rng()).energy.tolist() == pytest.approx([0.05, 1.0, 300.0, 301.0])
    kept = EnergyThreshold(0.05, 300.0)(event, rng())
    assert kept.coords[:, 0].tolist() == [1, 2, 3]
    assert kept.inverse_index.tolist() == [-1, 0, 1, 2, -1]
    assert len(EnergyThreshold(1e6)(event, rng())) == 0


def test_energy_threshold_drawn_between_two() -> None:
    event = make_event([[i, 0, 0] for i in range(400)], np.geomspace(0.01, 1.0, 400))
    lowest = np.array([EnergyThreshold((0.05, 0.2))(event, rng(seed)).energy.min() for seed in range(300)])
    assert ((lowest >= 0.05) & (lowest < 0.21)).all()
    assert np.median(lowest) == pytest.approx(0.1, rel=0.15)  # even in the logarithm
    assert EnergyThreshold((0.1, 0.1))(event, rng()).energy.min() >= np.float32(0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("transform", [EnergyThreshold(0.1), LogEnergy(), MaskBoxes()])
def test_energies_that_are_not_finite_are_refused(transform: Transform, value: float) -> None:
    event = make_event([[0, 0, 0], [3, 4, 5]], [1.0, value], entry=7)
    with pytest.raises(BadEventError, match=r"made.h5 entry 7.*\[3, 4, 5\]"):
        transform(event, rng())


def test_log_energy_is_the_published_formula() -> None:
    energy = np.array([0.0, 0.05, 1.0, 20.0, 100.0], np.float32)
    event = make_event([[i, 0, 0] for i in range(5)], energy)
    feats = LogEnergy()(event, rng()).feats
    expected = 2 * (np.log10(energy + 0.01) + 2) / (np.log10(20.01) + 2) - 1
    assert feats.dtype == np.float32
    np.testing.assert_allclose(feats[:, 0], expected, atol=1e-6)
    assert feats[0, 0] == pytest.approx(-1.0)
    assert feats[3, 0] == pytest.approx(1.0, abs=1e-6)


@given(st.floats(1e-3, 10), st.floats(0.1, 1e4))
@settings(max_examples=30, deadline=None)
def test_log_energy_ends_for_any_limits(low: float, high: float) -> None:
    event = make_event([[0, 0], [1, 0], [2, 0]], [0.0, high / 2, high], image_size=(4, 4))
    first, middle, last = LogEnergy(min=low, max=high)(event, rng()).feats[:, 0]
    assert first == pytest.approx(-1, abs=1e-3)
    assert last == pytest.approx(1, abs=1e-3)
    assert first < middle < last


def test_log_energy_leaves_other_features_and_the_energy() -> None:
    event = random_event(0, 6)
    event = event.replace(feats=np.concatenate([event.feats, np.full((6, 1), 9, np.float32)], axis=1))
    changed = LogEnergy()(event, rng())
    np.testing.assert_array_equal(changed.energy, event.energy)
    assert changed.feats[:, 1].tolist() == [9.0] * 6


def test_log_energy_refuses_negative_energies() -> None:
    with pytest.raises(BadEventError, match="negative"):
        LogEnergy()(make_event([[0, 0, 0]], [-0.5]), rng())


def test_scale_energy_is_one_log_normal_factor() -> None:
    event = random_event(1, 20)
    factors = []
    for seed in range(400):
        scaled = ScaleEnergy(sigma=0.2)(event, rng(seed))
        ratio = scaled.energy / event.energy
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        np.testing.assert_array_equal(scaled.feats[:, 0], scaled.energy)
        factors.append(ratio[0])
    logs = np.log(factors)
    assert abs(logs.mean()) < 4 * 0.2 / 20
    assert logs.std() == pytest.approx(0.2, rel=0.15)


def test_scale_energy_by_a_given_factor() -> None:
    event = random_event(1, 20)
    scaled = ScaleEnergyConfig(sigma=0, factor=1.25).build()(event, rng())
    np.testing.assert_allclose(scaled.energy, 1.25 * event.energy, rtol=1e-6)


def test_scale_energy_draws_the_factor_evenly_in_the_logarithm() -> None:
    event = random_event(1, 20)
    transform = ScaleEnergyConfig(sigma=0, factor=(0.8, 1.25)).build()
    logs = np.log([transform(event, rng(seed)).energy[0] / event.energy[0] for seed in range(400)])
    assert logs.min() > np.log(0.8) - 1e-6
    assert logs.max() < np.log(1.25) + 1e-6
    counts, _ = np.histogram(logs, bins=4, range=(np.log(0.8), np.log(1.25)))
    assert counts.min() > 60  # 100 expected in each quarter


def test_scale_energy_scales_only_features_that_are_the_energy() -> None:
    event = random_event(1, 5)
    event = event.replace(feats=np.concatenate([np.ones((5, 1), np.float32), event.feats], axis=1))
    scaled = ScaleEnergy(sigma=0.5)(event, rng())
    assert scaled.feats[:, 0].tolist() == [1.0] * 5
    np.testing.assert_array_equal(scaled.feats[:, 1], scaled.energy)


def test_scale_energy_after_log_energy_is_refused() -> None:
    event = LogEnergy()(random_event(1, 5), rng())
    with pytest.raises(UserError, match="before log_energy"):
        ScaleEnergy()(event, rng())


@pytest.mark.parametrize("transform", [EnergyThreshold(0.1), LogEnergy(), ScaleEnergy(), MaskBoxes()])
def test_energy_transforms_refuse_candidates(transform: Transform) -> None:
    masked = MaskBoxes(size=4)(random_event(2, 30), rng())
    with pytest.raises(UserError, match="after mask_boxes"):
        transform(masked, rng())


@pytest.mark.parametrize("image_size", [(8, 8), (8, 8, 8)])
@pytest.mark.parametrize("transform", [EnergyThreshold(0.1), LogEnergy(), ScaleEnergy(), MergeDuplicates()])
def test_empty_events_stay_empty(transform: Transform, image_size: tuple[int, ...]) -> None:
    empty = transform(make_event([], image_size=image_size), rng())
    assert len(empty) == 0
    assert empty.feats.shape == (0, 1)
    assert empty.feats.dtype == np.float32


def test_configs_build_what_they_say() -> None:
    assert EnergyThresholdConfig(min_mev=0.1).build() == EnergyThreshold(0.1)
    assert EnergyThresholdConfig(min_mev=10, max_mev=300).build() == EnergyThreshold(10, 300)
    assert LogEnergyConfig().build() == LogEnergy(min=0.01, max=20.0)
    assert LogEnergyConfig(min=1, max=300).build() == LogEnergy(min=1, max=300)
    assert ScaleEnergyConfig(sigma=0.3).build() == ScaleEnergy(0.3)
    assert MergeDuplicatesConfig().build() == MergeDuplicates()


def test_configs_refuse_impossible_numbers() -> None:
    for config, values in (
        (EnergyThresholdConfig, {"min_mev": -1}),
        (EnergyThresholdConfig, {"min_mev": 10, "max_mev": 5}),
        (EnergyThresholdConfig, {"min_mev": float("nan")}),
        (LogEnergyConfig, {"min": 0}),
        (LogEnergyConfig, {"max": float("inf")}),
        (ScaleEnergyConfig, {"sigma": 0}),
        (ScaleEnergyConfig, {"sigma": -0.1}),
        (ScaleEnergyConfig, {"factor": 0}),
        (ScaleEnergyConfig, {"factor": [1.25, 0.8]}),
        (EnergyThresholdConfig, {"min_mev": [0.2, 0.1]}),
        (EnergyThresholdConfig, {"min_mev": [0, 0.1]}),
        (EnergyThresholdConfig, {"min_mev": [0.1, 0.3], "max_mev": 0.2}),
        (ScaleEnergyConfig, {"sigmma": 1}),
    ):
        with pytest.raises(ValidationError):
            config.model_validate(values)

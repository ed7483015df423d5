"""jitter, smear_energy and random_voxel_loss."""

from __future__ import annotations

import numpy as np
import pytest
from made_events import as_rows, make_event, random_event
from pydantic import ValidationError

from lartpc_sparse.data.transforms import (
    Jitter,
    JitterConfig,
    LogEnergy,
    MaskBoxes,
    RandomVoxelLoss,
    RandomVoxelLossConfig,
    SmearEnergy,
    SmearEnergyConfig,
    Transform,
)
from lartpc_sparse.schema import BadEventError, UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def lattice(side: int, step: int) -> np.ndarray:
    """Voxels far from one another, so that none meet."""
    return np.stack(np.meshgrid(*[np.arange(step, side, 2 * step)] * 3, indexing="ij"), -1).reshape(-1, 3)


def test_jitter_moves_the_chosen_share_evenly() -> None:
    event = make_event(lattice(96, 3), image_size=(96, 96, 96))
    after = Jitter(max_shift=(1, 2, 1), probability=0.5)(event, rng())
    assert len(after) == len(event)
    step = after.coords[after.inverse_index] - event.coords
    assert np.abs(step).max(axis=0).tolist() == [1, 2, 1]
    moved = (step != 0).any(axis=1).mean()
    expected = 0.5 * (1 - 1 / (3 * 5 * 3))
    assert moved == pytest.approx(expected, abs=5 * np.sqrt(0.25 / len(event)))
    values, counts = np.unique(step[(step != 0).any(axis=1), 1], return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert counts.min() > 0.8 * counts.max() * 8 / 9  # a step of 0 along this axis is a little rarer: (9 - 1) / 9


def test_jitter_stays_inside_and_never_or_always_moves() -> None:
    event = random_event(0, 20, (5, 5))
    for seed in range(20):
        after = Jitter(max_shift=9, probability=1.0)(event, rng(seed))
        assert (after.coords >= 0).all()
        assert (after.coords < 5).all()
    still = Jitter(max_shift=9, probability=0.0)(event, rng())
    assert as_rows(still) == as_rows(event)


def test_voxels_that_meet_are_joined_with_the_labels_of_the_higher_energy() -> None:
    event = make_event([[0, 0], [0, 1]], [1.0, 3.0], image_size=(1, 2), semantic=[0, 1])
    met = [after for s in range(40) if len(after := Jitter(1, 1.0)(event, rng(s))) == 1]
    assert met
    for after in met:
        assert after.energy.tolist() == [4.0]
        assert after.feats.tolist() == [[4.0]]
        assert after.labels["semantic"].tolist() == [1]
        assert after.inverse_index.tolist() == [0, 0]


def test_smearing_has_the_widths_asked_for() -> None:
    n = 20000
    coords = np.stack(np.unravel_index(np.arange(n), (200, 200)), 1)
    event = make_event(coords, np.full(n, 5.0), image_size=(200, 200))
    for relative, absolute in ((0.1, 0.0), (0.0, 0.3), (0.1, 0.3)):
        after = SmearEnergy(relative, absolute)(event, rng())
        width = np.hypot(relative * 5, absolute)
        assert after.energy.std() == pytest.approx(width, rel=5 / np.sqrt(2 * n))
        assert after.energy.mean() == pytest.approx(5, abs=5 * width / np.sqrt(n))
        np.testing.assert_array_equal(after.feats[:, 0], after.energy)
        assert abs(np.corrcoef(after.energy[1:], after.energy[:-1])[0, 1]) < 5 / np.sqrt(n)


def test_energies_end_at_zero_and_negative_ones_are_free() -> None:
    event = make_event([[i, 0] for i in range(400)], [0.1] * 200 + [-0.1] * 200, image_size=(400, 1))
    after = SmearEnergy(absolute_mev=1.0)(event, rng())
    assert len(after) == 400
    assert (after.energy[:200] >= 0).all()
    assert 60 < (after.energy[:200] == 0).sum() < 125
    assert (after.energy[200:] < -0.1).sum() > 60


def test_only_features_that_are_the_energy_are_smeared() -> None:
    event = random_event(0, 10)
    two = event.replace(feats=np.stack([event.energy, np.ones(10, np.float32)], axis=1))
    after = SmearEnergy(relative=0.5)(two, rng())
    np.testing.assert_array_equal(after.feats[:, 0], after.energy)
    np.testing.assert_array_equal(after.feats[:, 1], 1)


def test_voxels_are_lost_with_the_probability_asked_for() -> None:
    n = 20000
    coords = np.stack(np.unravel_index(np.arange(n), (200, 200)), 1)
    energy = np.repeat([0.0, 1.0, 2.0, -3.0], n // 4)
    event = make_event(coords, energy, image_size=(200, 200))
    for scale, shares in ((None, [0.4] * 4), (2.0, [0.4, 0.4 * np.exp(-0.5), 0.4 * np.exp(-1), 0.4])):
        after = RandomVoxelLoss(0.4, scale)(event, rng())
        assert after.num_lost == n - len(after)
        lost = (after.inverse_index < 0).reshape(4, -1).mean(axis=1)
        np.testing.assert_allclose(lost, shares, atol=5 * np.sqrt(0.25 / (n / 4)))
    assert len(RandomVoxelLoss(1.0)(event, rng())) == 0
    assert len(RandomVoxelLoss(0.0)(event, rng())) == n


def test_energies_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(BadEventError, match="nan"):
        RandomVoxelLoss(0.1, 2.0)(make_event([[0, 0, 0]], [np.nan]), rng())


@pytest.mark.parametrize("transform", [Jitter(), SmearEnergy(relative=0.1)])
def test_after_log_energy_is_refused(transform: Transform) -> None:
    event = LogEnergy()(random_event(0, 5), rng())
    with pytest.raises(UserError, match="put it before log_energy"):
        transform(event, rng())


@pytest.mark.parametrize("transform", [Jitter(), SmearEnergy(relative=0.1), RandomVoxelLoss()])
def test_after_mask_boxes_is_refused(transform: Transform) -> None:
    event = MaskBoxes(size=3)(random_event(0, 5), rng())
    with pytest.raises(UserError, match="after mask_boxes"):
        transform(event, rng())


def test_configs() -> None:
    assert JitterConfig.model_validate({"max_shift": [1, 2]}).build() == Jitter((1, 2), 0.1)
    assert SmearEnergyConfig(absolute_mev=0.2).build() == SmearEnergy(0.0, 0.2)
    assert RandomVoxelLossConfig(probability=0.3, energy_mev=1.5).build() == RandomVoxelLoss(0.3, 1.5)
    for config, values in (
        (JitterConfig, {"max_shift": 0}),
        (JitterConfig, {"probability": 1.2}),
        (SmearEnergyConfig, {}),
        (SmearEnergyConfig, {"relative": -0.1}),
        (SmearEnergyConfig, {"relative": float("inf")}),
        (RandomVoxelLossConfig, {"energy_mev": 0}),
    ):
        with pytest.raises(ValidationError):
            config.model_validate(values)
    with pytest.raises(UserError, match=r"jitter\.max_shift has 2 numbers"):
        Jitter((1, 1))(random_event(0, 3), rng())

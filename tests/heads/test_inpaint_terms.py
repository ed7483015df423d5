"""Focal loss, charge loss, weights of the terms, and filling, against loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.heads.inpaint_fill import crossing_thresholds, filled_energy
from lartpc_sparse.heads.inpaint_regression import RegressionConfig, TermWeights
from lartpc_sparse.heads.losses import activation_loss, charge_loss, track_nontrack_terms


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_activation_loss_equals_a_loop(gamma: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logit = torch.randn(20, generator=generator, dtype=torch.float64)
    active = torch.rand(20, generator=generator) < 0.3
    expected = []
    for value, true in zip(torch.sigmoid(logit).tolist(), active.tolist(), strict=True):
        right = value if true else 1 - value
        expected.append((3.0 if true else 1.0) * (1 - right) ** gamma * -np.log(right))
    assert activation_loss(logit, active, 3.0, gamma).item() == pytest.approx(np.mean(expected))
    assert activation_loss(logit[:0], active[:0], 3.0, gamma).item() == 0


def test_charge_loss_equals_a_loop_and_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(1)
    p, e, t = (torch.rand(30, generator=generator, dtype=torch.float64) for _ in range(3))
    gap = torch.randint(0, 4, (30,), generator=generator) * 7
    expected = []
    for number in np.unique(gap.numpy()):
        rows = gap == number
        found, true = float((p * e)[rows].sum()), float(t[rows].sum())
        expected.append((found - true) ** 2 / (found + 1))
    assert charge_loss(p, e, t, gap).item() == pytest.approx(np.mean(expected))
    # a constant prediction for gaps of charge 1 and 3 has no gradient at the mean, 2
    energy = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    loss = charge_loss(
        torch.ones(2, dtype=torch.float64),
        energy.expand(2),
        torch.tensor([1.0, 3.0], dtype=torch.float64),
        torch.tensor([0, 1]),
    )
    (gradient,) = torch.autograd.grad(loss, energy)
    assert gradient.item() == pytest.approx(0, abs=1e-12)


def test_active_only_leaves_the_others_alone() -> None:
    predicted = torch.rand(6, requires_grad=True)
    active = torch.tensor([True, False, True, False, False, False])
    track, nontrack = track_nontrack_terms(predicted, torch.where(active, 1.0, 0.0), active, "active_only")
    assert nontrack.item() == 0
    (gradient,) = torch.autograd.grad(track + nontrack, predicted)
    assert gradient[active].all()
    assert not gradient[~active].any()


def descend(config: RegressionConfig, terms: tuple[float, float]) -> list[float]:
    weights = TermWeights(config)
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.1)
    values = torch.tensor(terms)
    for _ in range(2000):
        optimizer.zero_grad()
        found, added = weights(values)
        torch.autograd.backward((found * values).sum() + added)
        optimizer.step()
    result: list[float] = weights(values)[0].detach().tolist()
    return result


def test_a_floor_stops_the_collapse() -> None:
    literal = descend(RegressionConfig(weighting="learned_softmax"), (1.0, 0.1))
    assert literal[0] < 0.01  # the defect of the seed's form
    floored = descend(RegressionConfig(weighting="floored_softmax", floor=0.2), (1.0, 0.1))
    assert floored == pytest.approx([0.2, 0.8], abs=0.01)


def test_homoscedastic_weights_balance_the_terms() -> None:
    found = descend(RegressionConfig(weighting="homoscedastic"), (1.0, 0.1))
    assert found == pytest.approx([0.5, 5.0], rel=1e-3)  # 1 / (2 L): both products are 1/2


@given(st.integers(0, 500), st.floats(0.2, 0.8))
def test_expected_filling_keeps_the_charge_near_filled_voxels(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 6, (40, 3)), axis=0).astype(np.int32)
    probability, energy = rng.random(len(coords)), rng.random(len(coords))
    gap = np.where(coords[:, 0] < 3, 0, 1).astype(np.int64)
    thresholds = np.full(len(coords), threshold)
    filled = filled_energy(coords, probability, energy, gap, thresholds, expected=True)
    chosen = probability >= threshold
    assert not filled[~chosen].any()
    expected = np.where(chosen, probability * energy, 0.0)
    for row in np.flatnonzero(~chosen):
        others = np.flatnonzero(chosen & (gap == gap[row]))
        distance = np.linalg.norm(coords[others] - coords[row], axis=1)
        if len(others) and distance.min() <= 3:
            expected[others[distance == distance.min()]] += (
                probability[row] * energy[row] / (distance == distance.min()).sum()
            )
    for number in (0, 1):
        own = gap == number
        assert filled[own].sum() == pytest.approx(expected[own].sum(), rel=1e-5)
    plain = filled_energy(coords, probability, energy, gap, thresholds, expected=False)
    np.testing.assert_allclose(plain, np.where(chosen, energy, 0), rtol=1e-6)


def test_crossing_thresholds_are_half_of_the_best_f1_of_each_crossing() -> None:
    rng = np.random.default_rng(4)
    parts = [np.array([[x, y, z] for x in range(3) for y in range(3)]) + z0 for z0, z in ((0, 0), (20, 0), (40, 0))]
    coords = np.concatenate(parts).astype(np.int32)
    probability = rng.uniform(0.06, 1.0, len(coords))
    probability[9:18] *= 0.1  # little is known of the second one
    probability[:2] = 0.01, 0.04  # too faint to belong to a crossing
    gap = np.zeros(len(coords), dtype=np.int64)
    common = np.full(len(coords), 0.2)
    found = crossing_thresholds(coords, probability, gap, common, 0.9)
    for start, stop in ((2, 9), (9, 18), (18, 27)):
        rows = start + np.flatnonzero(probability[start:stop] >= 0.05)
        best = 0.0
        for cut in probability[rows]:
            chosen = probability[rows] >= cut
            best = max(best, 2 * probability[rows][chosen].sum() / (chosen.sum() + probability[rows].sum()))
        np.testing.assert_allclose(found[rows], max(0.2, 0.9 * best / 2))
    assert (found[:2] == 0.2).all()
    assert len(np.unique(found)) == 3
    assert (crossing_thresholds(coords, probability, gap, common, 0.0) == 0.2).all()
    assert len(crossing_thresholds(coords[:0], probability[:0], gap[:0], common[:0], 0.9)) == 0
    common[9:18] = 0.5  # a gap with a threshold of its own
    assert (crossing_thresholds(coords, probability, gap, common, 0.9)[9:18] == 0.5).all()


def test_a_faint_candidate_is_not_filled_where_a_likelier_one_is_not() -> None:
    coords = np.array([[x, 0, 0] for x in range(6)], np.int32)
    probability = np.array([0.9, 0.9, 0.9, 0.2, 0.045, 0.9])
    found = crossing_thresholds(coords, probability, np.zeros(6, np.int64), np.full(6, 0.02), 0.7)
    assert (probability >= found).tolist() == [True, True, True, False, False, True]

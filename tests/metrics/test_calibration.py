"""Reliability of scores against torchmetrics and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import multiclass_calibration_error

from lartpc_sparse.metrics.calibration import Calibration

BINS = 15


def sample(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(n, 4))
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = (probability**0.5).cumsum(1) / (probability**0.5).sum(1, keepdims=True) < rng.random((n, 1))
    return truth.sum(1), probability.astype(np.float32)


def test_errors_against_torchmetrics() -> None:
    truth, probability = sample()
    calibration = Calibration(4, BINS)
    for rows in np.array_split(np.arange(len(truth)), 7):
        calibration.update(truth[rows], probability[rows])
    _, errors = calibration.top(0.68)
    for norm, name in (("l1", "ece"), ("max", "mce")):
        expected = multiclass_calibration_error(
            torch.from_numpy(probability), torch.from_numpy(truth), 4, n_bins=BINS, norm=norm
        )
        assert errors[name] == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("number", range(4))
def test_curve_of_a_class_against_scikit_learn(number: int) -> None:
    truth, probability = sample()
    calibration = Calibration(4, BINS)
    calibration.update(truth, probability)
    rates, _ = calibration.of_class(number, 0.68)
    rate, mean = calibration_curve(truth == number, probability[:, number], n_bins=BINS)
    used = rates.n > 0
    np.testing.assert_allclose(rates.rate[used], rate, atol=1e-6)
    np.testing.assert_allclose(rates.mean[used], mean, atol=1e-6)


def test_unlabelled_and_unscored_voxels_do_not_count() -> None:
    calibration = Calibration(4, BINS)
    assert calibration.top(0.68)[1] == {"ece": None, "mce": None}
    truth, probability = sample(10)
    calibration.update(np.full(10, -1), probability)
    calibration.update(truth, np.full_like(probability, np.nan))
    calibration.update(truth[:0], probability[:0])
    assert calibration.top(0.68)[0].n.sum() == 0
    calibration.update(np.array([2]), np.array([[0, 0, 1, 0]], dtype=np.float32))
    rates, errors = calibration.top(0.68)
    assert rates.n.tolist() == [0] * (BINS - 1) + [1]
    assert errors == {"ece": 0.0, "mce": 0.0}

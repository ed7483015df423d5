"""The factor on predicted charge, and how it goes with the width of the gap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_events import head_batch, make_event
from pydantic import TypeAdapter, ValidationError

from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.heads.by_gap_width import gap_widths, value_at_width, width_around
from lartpc_sparse.heads.inpaint_charge import ChargeFactor, fitted_factor

CHANNELS = 4


def test_factors_are_linear_between_the_pairs_and_constant_beyond() -> None:
    factors = value_at_width(((5.0, 1.0), (15.0, 1.2)), np.array([1.0, 5.0, 10.0, 15.0, 40.0]))
    np.testing.assert_allclose(factors, [1.0, 1.0, 1.1, 1.2, 1.2])
    np.testing.assert_array_equal(value_at_width(1.5, np.array([1.0, 9.0])), [1.5, 1.5])


def test_the_width_of_a_gap_is_that_along_its_narrowest_axis() -> None:
    boxes = np.array([[[0, 3, 0], [100, 8, 100]], [[2, 2, 2], [4, 9, 30]]])
    np.testing.assert_array_equal(gap_widths(boxes), [5.0, 2.0])
    np.testing.assert_array_equal(width_around(boxes, np.array([1, 0, 1])), [2.0, 5.0, 2.0])
    np.testing.assert_array_equal(width_around(None, np.array([3, 0])), [0.0, 0.0])


@pytest.mark.parametrize("wrong", [0.0, -1.0, [], [[5, 1.0], [5, 1.1]], [[9, 1.0], [5, 1.1]], [[5, 0.0]], [[-1, 1.0]]])
def test_factors_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ChargeFactor).validate_python(wrong)


def test_the_fit_makes_the_median_right_at_every_width() -> None:
    rng = np.random.default_rng(3)
    widths = rng.integers(4, 21, 4000).astype(float)
    bias = 1.1 - 0.02 * widths
    ratios = bias * np.exp(rng.standard_t(3, len(widths)) * 0.1)  # long tails; the median is bias
    factor = fitted_factor(widths.tolist(), ratios.tolist())
    assert isinstance(factor, tuple)
    assert len(factor) == 5
    corrected = ratios * value_at_width(factor, widths)
    for low, high in ((4, 7), (7, 10), (10, 15), (15, 18), (18, 21)):
        chosen = (widths >= low) & (widths < high)
        assert np.median(corrected[chosen]) == pytest.approx(1.0, abs=0.02)


def test_few_tracks_or_gaps_of_one_width_get_one_factor() -> None:
    widths, ratios = [float(w) for w in range(5, 21)] * 3, [0.8] * 48
    assert fitted_factor(widths, ratios) == pytest.approx(1.25)
    assert fitted_factor([10.0] * 1000, [0.8] * 1000) == pytest.approx(1.25)
    # a few odd tracks through gaps of another width do not count for more than they are
    assert fitted_factor([10.0] * 500 + [11.0], [0.8] * 500 + [0.1]) == pytest.approx(1.25)
    assert fitted_factor([3.0] * 2 + [12.0] * 500, [0.2] * 2 + [0.8] * 500) == pytest.approx(1.25)
    assert fitted_factor(widths[:19], ratios[:19]) is None
    assert fitted_factor(widths, [0.0] * 40 + [1.0] * 8) is None


def test_each_gap_gets_the_factor_of_its_width() -> None:
    config = InpaintConfig.model_validate(
        {
            "region": {
                "kind": "mask_regions",
                "regions": [
                    {"kind": "slabs", "fixed": [{"axis": 0, "first": 4, "width": 2}]},
                    {"kind": "slabs", "fixed": [{"axis": 0, "first": 12, "width": 6}]},
                ],
                "candidates": {"kind": "grown", "reflect": False},
            },
            "calibration": [[2, 1.5], [6, 2.5]],
            "energy_scale": 2.0,
            "keep_probability": 0.0,
        }
    )
    coords = np.stack([np.arange(1, 24), np.full(23, 7), np.full(23, 9)], axis=1).astype(np.int32)
    event = make_event(coords, np.zeros(23), np.zeros(23), side=32)
    batch = head_batch(config, [event])
    head = config.build(in_channels=CHANNELS, dim=3)
    ones = torch.ones(batch.num_voxels)
    table = head.decode({"logit": ones * 9, "energy": ones}, batch, None).tables[0]
    wide = (table["coords"][:, 0] >= 12) & (table["coords"][:, 0] < 18)
    assert wide.any()
    assert not wide.all()
    np.testing.assert_allclose(table["energy"][~wide], 3.0)
    np.testing.assert_allclose(table["energy"][wide], 5.0)
    np.testing.assert_allclose(table["fill"][wide], 5.0)

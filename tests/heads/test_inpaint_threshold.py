"""The activation threshold that goes with the width of the gap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from labelled_events import head_batch, make_event
from pydantic import TypeAdapter, ValidationError

from lartpc_sparse.heads import InpaintConfig
from lartpc_sparse.heads.by_gap_width import value_at_width
from lartpc_sparse.heads.inpaint_threshold import FillThreshold, fitted_threshold, threshold_trials
from lartpc_sparse.metrics.voxel_counts import THRESHOLDS, VoxelCounts, count_activations

CHANNELS = 4
SLABS = {
    "kind": "mask_regions",
    "regions": [
        {"kind": "slabs", "fixed": [{"axis": 0, "first": 4, "width": 2}]},
        {"kind": "slabs", "fixed": [{"axis": 0, "first": 12, "width": 6}]},
    ],
    "candidates": {"kind": "grown", "reflect": False},
}


def _gaps(width: int, candidates: int, rng: np.random.Generator) -> VoxelCounts:
    """Calibrated probabilities, the lower the wider the gap, and a truth drawn from them."""
    probability = rng.beta(0.6, 0.1 * width, candidates)
    return count_activations(rng.random(candidates) < probability, probability, THRESHOLDS)


def _best_f1(counts: VoxelCounts) -> float:
    return max(value or 0.0 for value in counts.scores()["f1"])


def test_each_width_gets_about_half_of_its_best_f1() -> None:
    rng = np.random.default_rng(8)
    counts = {float(width): _gaps(width, 20_000, rng) for width in range(4, 23)}
    found = fitted_threshold(counts)
    assert isinstance(found, tuple)
    assert len(found) == 3
    assert all(one[0] < other[0] and one[1] > other[1] for one, other in itertools.pairwise(found))
    for width, threshold in found:
        near = counts[round(width)]
        assert -0.02 < threshold - _best_f1(near) / 2 < 0.06
        chosen = near.scores()["f1"][int(np.argmin(np.abs(np.array(THRESHOLDS) - threshold)))]
        assert chosen == pytest.approx(_best_f1(near), rel=0.01)


def test_the_trials_show_what_each_threshold_was_chosen_by() -> None:
    rng = np.random.default_rng(8)
    counts = {float(width): _gaps(width, 20_000, rng) for width in range(4, 23)}
    pairs, trials = fitted_threshold(counts), threshold_trials(counts)
    assert isinstance(pairs, tuple)
    for middle, threshold in pairs:
        f1 = {trial["threshold"]: trial["f1"] for trial in trials if trial.get("width") == middle}
        assert f1.keys() == set(THRESHOLDS)
        assert f1[threshold] >= 0.998 * max(f1.values())
        assert all(value < 0.998 * max(f1.values()) for each, value in f1.items() if each > threshold)
    every = {trial["threshold"]: trial["f1"] for trial in trials if "width" not in trial}
    assert list(every.values()) == sum(counts.values(), VoxelCounts.none(len(THRESHOLDS))).scores()["f1"]
    assert len(trials) == 4 * len(THRESHOLDS)
    assert len(threshold_trials({10.0: counts[10.0]})) == len(THRESHOLDS)


def test_one_width_or_few_voxels_get_the_threshold_of_the_highest_f1() -> None:
    rng = np.random.default_rng(9)
    alone = _gaps(10, 100_000, rng)
    highest = THRESHOLDS[int(np.argmax([value or 0.0 for value in alone.scores()["f1"]]))]
    assert fitted_threshold({10.0: alone}) == highest
    few = {float(width): _gaps(width, 300, rng) for width in (5, 10, 20)}
    assert isinstance(fitted_threshold(few), float)
    # gaps of a second width, but hardly any of them
    assert fitted_threshold({10.0: alone, 11.0: few[10.0]}) == pytest.approx(highest, abs=0.021)


def test_gaps_without_a_true_voxel_tell_no_threshold() -> None:
    nothing = np.zeros(len(THRESHOLDS), np.int64)
    assert fitted_threshold({}) is None
    assert fitted_threshold({5.0: VoxelCounts(nothing, nothing + 3, nothing)}) is None


def test_a_width_at_which_nothing_is_found_does_not_move_the_others() -> None:
    rng = np.random.default_rng(10)
    nothing = np.zeros(len(THRESHOLDS), np.int64)
    good = {float(width): _gaps(width, 40_000, rng) for width in (5, 7)}
    lost = VoxelCounts(nothing, nothing, nothing + 60_000)
    assert fitted_threshold({**good, 20.0: lost}) == fitted_threshold(good)
    assert isinstance(fitted_threshold({5.0: good[5.0], 20.0: lost}), float)
    # wide gaps without a true voxel but with voxels made up count, too
    pairs = fitted_threshold({**good, 8.0: VoxelCounts(nothing, nothing + 10**6, nothing)})
    assert pairs != fitted_threshold(good)
    # a width that is not known gives no pairs
    assert isinstance(fitted_threshold({0.0: good[5.0], 7.0: good[7.0]}), float)


@pytest.mark.parametrize("wrong", [0.0, 1.0, [], [[5, 0.2], [5, 0.1]], [[9, 0.2], [5, 0.1]], [[5, 1.0]], [[0, 0.5]]])
def test_thresholds_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FillThreshold).validate_python(wrong)


def test_each_gap_is_filled_from_the_threshold_of_its_width_on() -> None:
    config = InpaintConfig.model_validate({"region": SLABS, "threshold": [[2, 0.6], [6, 0.3]], "keep_probability": 0.0})
    coords = np.stack([np.arange(1, 24), np.full(23, 7), np.full(23, 9)], axis=1).astype(np.int32)
    batch = head_batch(config, [make_event(coords, np.zeros(23), np.zeros(23), side=32)])
    head = config.build(in_channels=CHANNELS, dim=3)
    generator = torch.Generator().manual_seed(2)
    logit = torch.randn(batch.num_voxels, generator=generator)
    table = head.decode({"logit": logit, "energy": torch.ones(batch.num_voxels)}, batch, None).tables[0]
    wide = (table["coords"][:, 0] >= 12) & (table["coords"][:, 0] < 18)
    expected = np.where(wide, 0.3, 0.6)
    np.testing.assert_array_equal(table["fill"] > 0, table["probability"] >= expected)
    between = (table["probability"] > 0.3) & (table["probability"] < 0.6)
    assert (between & wide).any()
    assert (between & ~wide).any()
    np.testing.assert_allclose(value_at_width(config.threshold, np.array([4.0, 99.0])), [0.45, 0.3])

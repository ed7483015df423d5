from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from sklearn import metrics as sk

from lartpc_sparse.metrics import GapResult, chamfer_distance, count_voxels, inpainting_scores

GRID = [round(0.02 * k, 2) for k in range(1, 50)]


def make_gap(active, probability, energy_true=None, energy_predicted=None, dtype=np.float32):
    n = len(active)
    active = np.asarray(active, dtype=bool)
    return GapResult(
        coords=np.stack([np.arange(n), np.zeros(n, int), np.zeros(n, int)], axis=1).astype(np.int32),
        active_true=active,
        probability=np.asarray(probability, dtype),
        energy_true=np.asarray(active * 2.0 if energy_true is None else energy_true, dtype),
        energy_predicted=np.asarray(np.ones(n) if energy_predicted is None else energy_predicted, dtype),
    )


def random_gap(seed, n=40):
    rng = np.random.default_rng(seed)
    active = rng.random(n) < 0.3
    probability = np.clip(0.5 * active + rng.random(n) * 0.6, 0, 1)
    return GapResult(
        coords=rng.integers(0, 30, (n, 3)).astype(np.int32),
        active_true=active,
        probability=probability.astype(np.float32),
        energy_true=(active * rng.exponential(1.0, n)).astype(np.float32),
        energy_predicted=rng.exponential(1.0, n).astype(np.float32),
    )


@st.composite
def gap_lists(draw):
    gaps = []
    for n in draw(st.lists(st.integers(0, 15), max_size=4)):
        active = draw(hnp.arrays(np.bool_, n))
        # multiples of 0.01: many probabilities lie exactly on a threshold
        probability = draw(hnp.arrays(np.float64, n, elements=st.integers(0, 100).map(lambda v: v / 100)))
        gaps.append(make_gap(active, probability, dtype=np.float64))
    return gaps


@settings(max_examples=60, deadline=None)
@given(gap_lists(), st.sampled_from([0.02, 0.1, 0.5, 0.73]))
def test_voxel_scores_and_curve_equal_scikit_learn(gaps, threshold):
    found = inpainting_scores(gaps, threshold)
    truth = np.concatenate([np.zeros(0, bool), *(gap.active_true for gap in gaps)])
    probability = np.concatenate([np.zeros(0), *(gap.probability for gap in gaps)])
    options = {"pos_label": True, "zero_division": np.nan}
    curve = found["curve"]
    assert curve["threshold"] == GRID
    assert {len(values) for values in curve.values()} == {49}
    for k, t in [(None, threshold), *list(enumerate(GRID))[::6]]:
        row = {name: found[name] if k is None else curve[name][k] for name in ("precision", "recall", "f1", "iou")}
        selected = probability >= t
        if not (truth.any() or selected.any()):
            assert set(row.values()) == {None}
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = {
                "precision": sk.precision_score(truth, selected, **options),
                "recall": sk.recall_score(truth, selected, **options),
                "f1": sk.f1_score(truth, selected, **options),
                "iou": sk.jaccard_score(truth, selected),
            }
        for name, value in expected.items():
            assert row[name] == (None if np.isnan(value) else pytest.approx(float(value)))


def test_counts_at_a_threshold_do_not_depend_on_the_precision_of_the_probability():
    half = [0.5, 0.25, 0.75]
    for dtype in (np.float32, np.float64):
        counts = count_voxels(make_gap([True, True, False], half, dtype=dtype), (0.25, 0.5, 0.75))
        assert counts.true_positive.tolist() == [2, 1, 0]
        assert counts.false_positive.tolist() == [1, 1, 1]
        assert counts.false_negative.tolist() == [0, 1, 2]


@pytest.mark.parametrize("threshold", GRID[:10])
def test_curve_and_single_threshold_agree_in_single_precision(threshold):
    gaps = [make_gap([True, False, True], [threshold, threshold, 0.9])]
    found = inpainting_scores(gaps, threshold)
    k = GRID.index(threshold)
    assert all(found["curve"][name][k] == found[name] for name in ("precision", "recall", "f1", "iou"))
    active = int(found["voxels"]["predicted"][0])
    assert found["charge"]["predicted"] == [float(active)]


def test_charge_voxels_and_chamfer_per_gap():
    gaps = [random_gap(seed) for seed in range(12)]
    found = inpainting_scores(iter(gaps), 0.5)
    true = np.array([gap.energy_true.astype(float).sum() for gap in gaps])
    predicted = np.array([gap.energy_predicted[gap.probability >= 0.5].astype(float).sum() for gap in gaps])
    ratio = predicted / true
    charge = found["charge"]
    assert found["gaps"] == 12
    assert charge["true"] == pytest.approx(true, abs=1e-4)
    assert charge["predicted"] == pytest.approx(predicted, abs=1e-4)
    assert charge["ratio"] == pytest.approx(ratio, abs=1e-4)
    assert charge["median"] == pytest.approx(np.median(ratio))
    assert charge["bias"] == pytest.approx(ratio.mean() - 1)
    assert charge["half_width_68"] == pytest.approx((np.quantile(ratio, 0.84) - np.quantile(ratio, 0.16)) / 2)
    assert charge["relative_error"] == pytest.approx(np.abs(predicted - true).sum() / true.sum())
    assert found["voxels"]["true"] == [int(gap.active_true.sum()) for gap in gaps]
    assert found["voxels"]["predicted"] == [int((gap.probability >= 0.5).sum()) for gap in gaps]
    distances = [chamfer_distance(gap.coords[gap.probability >= 0.5], gap.coords[gap.active_true]) for gap in gaps]
    assert found["chamfer"]["values"] == pytest.approx(distances, abs=1e-4)
    assert found["chamfer"]["mean"] == pytest.approx(np.mean(distances))
    assert found["chamfer"]["undefined"] == 0


def test_baseline_nothing_filled():
    found = inpainting_scores([random_gap(seed) for seed in range(4)], 0.02)
    nothing = found["baselines"]["nothing"]
    assert (nothing["recall"], nothing["f1"], nothing["iou"], nothing["precision"]) == (0.0, 0.0, 0.0, None)
    assert nothing["charge"]["ratio"] == [0.0] * 4
    assert (nothing["charge"]["median"], nothing["charge"]["bias"]) == (0.0, -1.0)
    assert nothing["charge"]["relative_error"] == 1.0
    assert nothing["chamfer"] == {"mean": None, "values": [], "undefined": 4}
    assert nothing["voxels"]["predicted"] == [0] * 4
    assert nothing["voxels"]["true"] == found["voxels"]["true"]
    assert "curve" not in nothing


def test_perfect_prediction():
    gap = make_gap([True, False, True], [0.9, 0.1, 0.8], energy_true=[2, 0, 3], energy_predicted=[2, 7, 3])
    found = inpainting_scores([gap], 0.5)
    assert [found[name] for name in ("precision", "recall", "f1", "iou")] == [1.0] * 4
    assert found["charge"]["ratio"] == [1.0]
    assert found["charge"]["relative_error"] == 0.0
    assert found["chamfer"]["mean"] == 0.0


def test_charge_put_into_an_empty_gap_counts_in_the_relative_error_but_has_no_ratio():
    full = make_gap([True], [0.9], energy_true=[4], energy_predicted=[4])
    hallucinated = make_gap([False], [0.9], energy_true=[0], energy_predicted=[2])
    charge = inpainting_scores([full, hallucinated], 0.5)["charge"]
    assert charge["ratio"] == [1.0]
    assert charge["relative_error"] == pytest.approx(0.5)
    assert charge["predicted"] == [4.0, 2.0]


@pytest.mark.parametrize("gaps", [[], [make_gap([], [])], [make_gap([False], [0.1])]])
def test_nothing_to_score_is_none_and_json_is_strict(gaps):
    found = inpainting_scores(gaps, 0.5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [found[name] for name in ("precision", "recall", "f1", "iou")] == [None] * 4
    assert found["charge"]["relative_error"] is None
    assert found["charge"]["median"] is None
    assert found["chamfer"]["mean"] is None
    assert found["gaps"] == len(gaps)


def test_scores_of_real_gaps_are_strict_json():
    found = inpainting_scores([random_gap(1)], 0.5)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, np.nan])
def test_refuses_a_threshold_outside_0_1(threshold):
    with pytest.raises(ValueError, match="threshold"):
        inpainting_scores([], threshold)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": np.array([0.5, np.nan])}, "1 of 2 values of probability"),
        ({"probability": np.array([0.5, 1.2])}, "sigmoid"),
        ({"probability": np.array([-0.1, 0.2])}, "sigmoid"),
        ({"energy_true": np.array([np.inf, 1.0])}, "energy_true"),
        ({"energy_predicted": np.array([np.nan, 1.0])}, "energy_predicted"),
        ({"energy_predicted": np.ones(3)}, "shapes"),
        ({"coords": np.zeros((3, 3), np.int32)}, "shape"),
        ({"active_true": np.array([1, 0])}, "bool"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_gap_refuses_bad_values(change, message):
    columns = {
        "coords": np.zeros((2, 3), np.int32),
        "active_true": np.array([True, False]),
        "probability": np.array([0.5, 0.5]),
        "energy_true": np.ones(2),
        "energy_predicted": np.ones(2),
    }
    with pytest.raises(ValueError, match=message):
        GapResult(**{**columns, **change})


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 3))
def test_chamfer_equals_all_pairs(data, dim):
    first, second = (
        data.draw(hnp.arrays(np.int32, st.tuples(st.integers(1, 20), st.just(dim)), elements=st.integers(0, 40)))
        for _ in range(2)
    )
    distance = cdist(first, second)
    expected = (distance.min(axis=1).mean() + distance.min(axis=0).mean()) / 2
    assert chamfer_distance(first, second) == pytest.approx(expected)


@pytest.mark.usefixtures("without_type_checks")
def test_chamfer_edges():
    none, one = np.zeros((0, 3), np.int32), np.array([[1, 2, 3]], np.int32)
    assert chamfer_distance(none, one) is None
    assert chamfer_distance(one, none) is None
    assert chamfer_distance(one, one + 1) == pytest.approx(np.sqrt(3))
    with pytest.raises(ValueError, match="coordinates"):
        chamfer_distance(one, np.zeros((2, 2), np.int32))

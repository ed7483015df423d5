from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from lartpc_sparse.metrics import accuracy, confusion_matrix, segmentation_scores, track_shower_confusion

FIVE = ("HIP", "MIP", "shower", "delta", "Michel")


def labels(low, high, n):
    return hnp.arrays(np.int64, n, elements=st.integers(low, high))


def none_if_nan(value):
    return None if np.isnan(value) else pytest.approx(float(value))


@st.composite
def voxel_labels(draw, lowest_prediction):
    n = draw(st.integers(0, 60))
    return draw(labels(-1, 4, n)), draw(labels(lowest_prediction, 4, n))


@settings(max_examples=80, deadline=None)
@given(voxel_labels(-1))
def test_confusion_equals_counting_one_by_one(event):
    truth, prediction = event
    expected = np.zeros((5, 6), dtype=np.int64)
    for t, p in zip(truth, prediction, strict=True):
        if t >= 0:
            expected[t, p if p >= 0 else 5] += 1
    found = confusion_matrix(truth, prediction, 5)
    assert found.dtype == np.int64
    assert np.array_equal(found, expected)


@settings(max_examples=80, deadline=None)
@given(voxel_labels(-1))
def test_scores_equal_scikit_learn(event):
    truth, prediction = event
    kept = truth >= 0
    truth, prediction = truth[kept], prediction[kept]
    scores = segmentation_scores(confusion_matrix(truth, prediction, 5), FIVE)
    if len(truth) == 0:
        assert scores["accuracy"] is None
        assert scores["macro"] == {"recall": None, "precision": None, "f1": None, "iou": None}
        return
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(truth, prediction))
    options = {"labels": range(5), "zero_division": np.nan}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, n = sk.precision_recall_fscore_support(truth, prediction, **options)
        macro = sk.precision_recall_fscore_support(truth, prediction, average="macro", **options)
        iou = sk.jaccard_score(truth, prediction, labels=range(5), average=None, zero_division=0)
    for k, name in enumerate(FIVE):
        row = scores["per_class"][name]
        occurs = bool(n[k]) or (prediction == k).any()
        assert row["n"] == n[k]
        assert row["recall"] == none_if_nan(recall[k])
        assert row["precision"] == none_if_nan(precision[k])
        assert row["f1"] == none_if_nan(f1[k])
        assert row["iou"] == (pytest.approx(float(iou[k])) if occurs else None)
    for name, value in zip(("precision", "recall", "f1"), macro, strict=False):
        assert scores["macro"][name] == none_if_nan(value)


def test_a_voxel_without_prediction_counts_against_recall_and_accuracy_but_not_precision():
    confusion = confusion_matrix(np.array([0, 0, 1]), np.array([0, -1, 1]), 2)
    assert confusion.tolist() == [[1, 0, 1], [0, 1, 0]]
    scores = segmentation_scores(confusion, ("track", "shower"))
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["per_class"]["track"] == {"n": 2, "recall": 0.5, "precision": 1.0, "f1": 2 / 3, "iou": 0.5}


def test_undefined_scores_are_none_and_json_is_strict():
    scores = segmentation_scores(confusion_matrix(np.array([0]), np.array([1]), 3), ("a", "b", "c"))
    assert scores["per_class"]["c"] == {"n": 0, "recall": None, "precision": None, "f1": None, "iou": None}
    assert scores["per_class"]["a"]["precision"] is None
    assert scores["per_class"]["b"]["recall"] is None
    assert scores["per_class"]["b"]["f1"] == 0.0
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


def test_empty_event():
    empty = np.zeros(0, dtype=np.int64)
    confusion = confusion_matrix(empty, empty, 5)
    assert confusion.shape == (5, 6)
    assert confusion.sum() == 0
    assert accuracy(confusion) is None


@settings(max_examples=50, deadline=None)
@given(voxel_labels(-1))
def test_track_shower_equals_relabelling_the_voxels(event):
    truth, prediction = event
    to_two = np.array([0, 0, 1, 1, 1, -1])  # the last entry serves -1
    expected = confusion_matrix(to_two[truth], to_two[prediction], 2)
    assert np.array_equal(track_shower_confusion(confusion_matrix(truth, prediction, 5), FIVE), expected)


def test_track_shower_leaves_true_low_energy_out_and_counts_predicted_low_energy_as_none():
    names = ("shower", "track", "Michel", "delta", "low_energy")
    truth, prediction = np.array([0, 1, 1, 4, 2]), np.array([3, 4, 1, 1, -1])
    merged = track_shower_confusion(confusion_matrix(truth, prediction, 5), names)
    assert merged.tolist() == [[1, 0, 1], [0, 1, 1]]


def test_track_shower_needs_both_groups():
    assert track_shower_confusion(np.ones((2, 3), np.int64), ("track", "noise")) is None
    assert track_shower_confusion(np.ones((2, 3), np.int64), ("noise", "delta")) is None


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.array([0, 5]), np.array([0, 0]), "truth has values 0..5"),
        (np.array([0, -2]), np.array([0, 0]), "truth has values -2..0"),
        (np.array([0, 1]), np.array([0, 5]), "prediction has values 0..5"),
        (np.array([0, 1]), np.array([0]), "2 true labels but 1"),
        (np.array([0, 1]), np.array([0.2, np.nan]), "prediction must be"),
        (np.array([[0, 1]]), np.array([0, 1]), "truth must be"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_confusion_refuses_bad_labels(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, prediction, 5)


@pytest.mark.parametrize("function", [segmentation_scores, track_shower_confusion])
def test_scores_refuse_a_square_matrix_and_repeated_names(function):
    with pytest.raises(ValueError, match="last column"):
        function(np.zeros((2, 2), np.int64), ("track", "shower"))
    with pytest.raises(ValueError, match="must differ"):
        function(np.zeros((2, 3), np.int64), ("track", "track"))


def test_small_integer_labels_do_not_overflow():
    truth = np.full(1000, 100, dtype=np.int8)
    assert confusion_matrix(truth, truth, 120)[100, 100] == 1000

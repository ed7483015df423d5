from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import adjusted_rand_score

from lartpc_sparse.metrics import (
    ClusteringScores,
    adjusted_rand_index,
    clustering_scores,
    contingency,
    efficiency,
    purity,
    summarise_clustering,
    symmetric_best_dice,
)


def sets_of(truth, prediction):
    """True and predicted clusters as sets of voxels; unassigned voxels stand alone."""
    true: dict[int, set[int]] = {}
    predicted: dict[object, set[int]] = {}
    for i, (t, p) in enumerate(zip(truth.tolist(), prediction.tolist(), strict=True)):
        if t >= 0:
            true.setdefault(t, set()).add(i)
            predicted.setdefault(p if p >= 0 else ("alone", i), set()).add(i)
    return list(true.values()), list(predicted.values())


def overlap_slowly(clusters, others):
    return np.mean([max(len(a & b) for b in others) / len(a) for a in clusters])


def best_dice_slowly(clusters, others):
    return np.mean([max(2 * len(a & b) / (len(a) + len(b)) for b in others) for a in clusters])


@st.composite
def clusterings(draw, lowest=-1):
    n = draw(st.integers(0, 50))
    ids = st.sampled_from([lowest, 0, 1, 2, 7, 1000])
    return draw(hnp.arrays(np.int64, n, elements=ids)), draw(hnp.arrays(np.int64, n, elements=ids))


@settings(max_examples=150, deadline=None)
@given(clusterings())
def test_scores_equal_sets_and_scikit_learn(event):
    truth, prediction = event
    true, predicted = sets_of(truth, prediction)
    scores = clustering_scores(truth, prediction)
    if not true:
        assert scores is None
        return
    alone = np.where(prediction < 0, 10_000 + np.arange(len(prediction)), prediction)
    kept = truth >= 0
    assert scores.ari == pytest.approx(adjusted_rand_score(truth[kept], alone[kept]), abs=1e-12)
    assert scores.purity == pytest.approx(overlap_slowly(predicted, true))
    assert scores.efficiency == pytest.approx(overlap_slowly(true, predicted))
    assert scores.sbd == pytest.approx(min(best_dice_slowly(true, predicted), best_dice_slowly(predicted, true)))
    assert scores.n_true == len(true)
    assert scores.n_predicted == len(set(prediction[kept & (prediction >= 0)].tolist()))


@settings(max_examples=60, deadline=None)
@given(clusterings(lowest=0), st.permutations(range(20)))
def test_scores_ignore_names_of_clusters_and_order_of_voxels(event, names):
    truth, prediction = event
    renamed = np.array(names)[np.unique(prediction, return_inverse=True)[1]]
    scores = clustering_scores(truth, prediction)
    if scores is None:
        return
    for other in (clustering_scores(truth, renamed), clustering_scores(truth[::-1], prediction[::-1])):
        assert dataclasses.asdict(other) == pytest.approx(dataclasses.asdict(scores))


@settings(max_examples=60, deadline=None)
@given(clusterings(lowest=0))
def test_exchange_of_truth_and_prediction(event):
    truth, prediction = event
    scores, swapped = clustering_scores(truth, prediction), clustering_scores(prediction, truth)
    if scores is None:
        return
    assert (scores.purity, scores.efficiency) == (swapped.efficiency, swapped.purity)
    assert scores.sbd == pytest.approx(swapped.sbd)
    assert scores.ari == pytest.approx(swapped.ari)


def test_worked_example():
    # true {0,1,2,3}, {4,5}; predicted {0,1,2}, {3,4,5}
    scores = clustering_scores(np.array([0, 0, 0, 0, 1, 1]), np.array([5, 5, 5, 6, 6, 6]))
    assert scores.purity == pytest.approx((1 + 2 / 3) / 2)
    assert scores.efficiency == pytest.approx((3 / 4 + 1) / 2)
    assert scores.sbd == pytest.approx((6 / 7 + 4 / 5) / 2)
    assert (scores.n_true, scores.n_predicted) == (2, 2)


def test_unassigned_voxels_count_against_a_perfect_clustering():
    truth = np.repeat([0, 1], 10)
    partly = truth.copy()
    partly[:4] = -1
    scores = clustering_scores(truth, partly)
    assert scores.ari < 1
    assert scores.efficiency == pytest.approx((0.6 + 1) / 2)
    assert scores.sbd < 0.5
    assert scores.n_predicted == 2


def test_nothing_assigned():
    scores = clustering_scores(np.zeros(4, np.int64), np.full(4, -1))
    assert scores == ClusteringScores(ari=0.0, purity=1.0, efficiency=0.25, sbd=0.4, n_true=1, n_predicted=0)


def test_contingency_table():
    table = contingency(np.array([9, 9, 2, -1, 2]), np.array([4, -1, 4, 4, 3]))
    assert table.toarray().tolist() == [[1, 1, 0], [0, 1, 1]]
    assert table.dtype == np.int64


def test_many_clusters_stay_sparse():
    # a dense table would need 300,000^2 cells
    ids = np.arange(300_000)
    table = contingency(ids, ids[::-1].copy())
    assert table.nnz == 300_000
    assert (adjusted_rand_index(table), purity(table), efficiency(table), symmetric_best_dice(table)) == (1, 1, 1, 1)


def test_pair_counts_of_large_events_do_not_overflow():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 2, 400_000), rng.integers(0, 2, 400_000)
    prediction[:200_000] = truth[:200_000]
    expected = adjusted_rand_score(truth, prediction)
    assert clustering_scores(truth, prediction).ari == pytest.approx(expected, rel=1e-9)


def test_empty_and_one_voxel():
    empty = np.zeros(0, np.int64)
    assert clustering_scores(empty, empty) is None
    assert clustering_scores(np.array([-1, -1]), np.array([0, 1])) is None
    assert clustering_scores(np.array([3]), np.array([8])) == ClusteringScores(1.0, 1.0, 1.0, 1.0, 1, 1)


@pytest.mark.parametrize("score", [adjusted_rand_index, purity, efficiency, symmetric_best_dice])
def test_a_score_of_an_empty_table_is_refused(score):
    with pytest.raises(ValueError, match="undefined"):
        score(contingency(np.array([-1]), np.array([0])))


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.array([0, 1]), np.array([0]), "2 true ids"),
        (np.array([0, 1]), np.array([0, -3]), "prediction has the id -3"),
        (np.array([0.0, np.nan]), np.array([0, 1]), "truth must be"),
        (np.array([0, 1]), np.array([[0, 1]]), "prediction must be"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_refuses_bad_ids(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        clustering_scores(truth, prediction)


def test_summary():
    values = [0.123456, 0.5, 1.0, 0.75]
    scores = [ClusteringScores(v, v / 2, v / 3, v / 4, k, k + 1) for k, v in enumerate(values)]
    summary = summarise_clustering([*scores, None])
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["ari"]["values"] == [0.1235, 0.5, 1.0, 0.75]
    assert summary["ari"]["mean"] == pytest.approx(np.mean(values))
    assert summary["ari"]["median"] == pytest.approx(0.625)
    assert summary["ari"]["quantiles"] == pytest.approx(
        {str(q): np.quantile(values, q) for q in (0.05, 0.25, 0.75, 0.95)}
    )
    for name, divisor in (("purity", 2), ("efficiency", 3), ("sbd", 4)):
        assert summary[name]["mean"] == pytest.approx(np.mean(values) / divisor)
    assert summary["n_true"] == [0, 1, 2, 3]
    assert summary["n_predicted"] == [1, 2, 3, 4]


def test_summary_of_nothing():
    summary = summarise_clustering([None])
    assert summary["sbd"] == {
        "mean": None,
        "median": None,
        "quantiles": {"0.05": None, "0.25": None, "0.75": None, "0.95": None},
        "values": [],
    }
    assert summary["n_true"] == []

"""What is measured of the heads that find instances, against the plain functions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from labelled_events import CLASSES, empty_event, random_event

from lartpc_sparse.cluster import connected_components, dbscan
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import DECODE_TABLE
from lartpc_sparse.heads.class_groups import TRACK_SHOWER_GROUPS, regroup
from lartpc_sparse.heads.instance_evaluation import InstanceEvaluationConfig
from lartpc_sparse.heads.instance_evaluator import InstanceEvaluator
from lartpc_sparse.metrics.clustering import clustering_scores
from lartpc_sparse.metrics.particle_scores import particle_scores

NAMES = list(TRACK_SHOWER_GROUPS)
CUT = 0.6
FIVE = CLASSES[:5]


def predicted(event: Event, seed: int) -> Prediction:
    rng = np.random.default_rng(seed)
    n = len(event)
    instance = event.labels["instance"]
    wrong = rng.random(n) < 0.2
    cluster = np.where(wrong, rng.integers(-1, 4, n), instance)
    label = np.where(rng.random(n) < 0.1, rng.integers(0, 5, n), np.minimum(event.labels["semantic"], 4))
    return Prediction(
        event.key,
        event.coords,
        event.energy,
        {name: event.labels[name] for name in ("semantic", "instance")},
        {
            "mine/cluster": cluster.astype(np.int32),
            "mine/cluster_true_semantics": instance.astype(np.int32),
            "sem/label": label.astype(np.int64),
        },
        {DECODE_TABLE: {"mine": np.array([0.002 * (seed + 1)], dtype=np.float32)}},
    )


def predictions() -> list[Prediction]:
    events = [random_event(1, 3, 200), empty_event(3, 1), random_event(2, 3, 150, 2), random_event(3, 3, 300, 3)]
    return [predicted(event, seed) for seed, event in enumerate(events)]


def evaluate(found: list[Prediction], **options: Any) -> dict[str, Any]:
    config = InstanceEvaluationConfig.model_validate({"bootstrap": 50, "cut": CUT, **options})
    evaluator = InstanceEvaluator("voxel_graph", TRACK_SHOWER_GROUPS, "mine", CLASSES, config)
    evaluator.use_semantics("sem", FIVE)
    for prediction in found:
        evaluator.update(prediction)
    result = evaluator.result()
    json.dumps(result, allow_nan=False)
    return result


def groups(found: list[Prediction], number: int) -> list[tuple[Prediction, np.ndarray]]:
    chosen = []
    for prediction in found:
        semantic = regroup(prediction.truth["semantic"], CLASSES, TRACK_SHOWER_GROUPS)
        rows = np.flatnonzero((semantic == number) & (prediction.truth["instance"] >= 0))
        if len(rows):
            chosen.append((prediction, rows))
    return chosen


def clusters(prediction: Prediction, source: str, method: str) -> np.ndarray:
    if method == "network":
        column = "cluster" if source == "predicted" else "cluster_true_semantics"
        return prediction.columns[f"mine/{column}"].astype(np.int64)
    true = regroup(prediction.truth["semantic"], CLASSES, TRACK_SHOWER_GROUPS)
    label = true if source == "true" else regroup(prediction.columns["sem/label"], FIVE, TRACK_SHOWER_GROUPS)
    if method == "dbscan":
        return dbscan(prediction.coords, 3.0, 1, label)
    return connected_components(prediction.coords, label)


@pytest.mark.parametrize("source", ["true", "predicted"])
@pytest.mark.parametrize("method", ["network", "connected_components", "dbscan"])
def test_scores_and_shares_of_every_method(source: str, method: str) -> None:
    found = predictions()
    result = evaluate(found)
    for number, name in enumerate(NAMES):
        own = groups(found, number)
        scores = [
            clustering_scores(one.truth["instance"][rows], clusters(one, source, method)[rows]) for one, rows in own
        ]
        particles = [
            particle_scores(one.truth["instance"][rows], clusters(one, source, method)[rows]) for one, rows in own
        ]
        compared = result["comparison"][source][name]
        for score in ("ari", "purity", "efficiency", "sbd"):
            expected = np.mean([getattr(one, score) for one in scores])
            assert compared[score]["methods"][method]["value"] == pytest.approx(expected)
        dice = np.concatenate([one.dice for one in particles])
        ari = np.concatenate([np.full(len(p.dice), s.ari) for p, s in zip(particles, scores, strict=True) if s])
        assert compared["particles_dice"]["methods"][method]["value"] == pytest.approx(np.mean(dice > CUT))
        assert compared["particles_ari"]["methods"][method]["value"] == pytest.approx(np.mean(ari > CUT))
        shares = result["particles"][source][method]
        assert shares["cuts"] == sorted({CUT, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99})
        assert shares["per_class"][name]["particles"] == len(dice)
        expected_shares = [np.mean(dice > cut) for cut in shares["cuts"]]
        assert shares["per_class"][name]["dice"] == pytest.approx(expected_shares, abs=1e-6)
        for quantity in ("multiplicity", "size"):
            curve = result["curves"][source][method][quantity]["dice"][name]
            assert sum(curve["n"]) == len(dice)
            right = sum(n * rate for n, rate in zip(curve["n"], curve["rate"], strict=True) if n)
            assert right == pytest.approx((dice > CUT).sum(), abs=1e-3)


def test_curves_are_binned_by_their_quantity() -> None:
    found = predictions()
    curves = evaluate(found, bins={"size": [10, 20], "multiplicity": [2, 3]})["curves"]["true"]["network"]
    sizes = np.concatenate(
        [np.unique(p.truth["instance"][rows], return_counts=True)[1] for p, rows in groups(found, 1)]
    )
    expected = np.bincount(np.searchsorted([10, 20], sizes, side="right"), minlength=3)
    assert curves["size"]["dice"]["track"]["n"] == expected.tolist()
    many = [len(np.unique(p.truth["instance"][rows])) for p, rows in groups(found, 1)]
    expected = np.bincount(np.searchsorted([2, 3], many, side="right"), weights=many, minlength=3)
    assert curves["multiplicity"]["dice"]["track"]["n"] == expected.tolist()
    angles = curves["angle"]["dice"]
    assert sum(angles["track"]["n"]) > 0
    assert sum(angles["shower"]["n"]) == 0  # angles are of tracks


def test_differences_are_those_of_the_same_events() -> None:
    result = evaluate(predictions())
    for classes in result["comparison"].values():
        for scores in classes.values():
            for own in scores.values():
                network = own["methods"]["network"]
                for method, difference in own["network_minus"].items():
                    expected = network["value"] - own["methods"][method]["value"]
                    assert difference["value"] == pytest.approx(expected)
                    assert difference["low"] <= difference["high"]
    assert result["mean_ari"]["true"] == 1
    assert set(result["mean_ari"]) == {"true", "predicted", "connected_components", "dbscan"}
    assert (
        set(result["baselines"]) == set(result["baselines_predicted_semantics"]) == {"connected_components", "dbscan"}
    )


def test_the_time_is_shared_over_the_decodings() -> None:
    seconds = evaluate(predictions())["decode_seconds"]
    assert seconds["events"] == 4
    assert seconds["mean"] == pytest.approx(0.0025)  # 2, 4, 6, 8 ms for two decodings each
    assert seconds["max"] == pytest.approx(0.004)


def test_no_event_and_no_second_baseline() -> None:
    result = evaluate([], dbscan=None)
    assert result["comparison"] == result["curves"] == result["particles"] == result["semantics"] == {}
    assert result["baselines"] == {"connected_components": {}}
    assert result["decode_seconds"] is None
    assert "dbscan" not in evaluate(predictions(), dbscan=None)["curves"]["true"]

"""Scores of the decisions against hand-made events and scikit-learn."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_score, recall_score, roc_auc_score

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads import SemanticConfig

TRUE_CLASSES = ("HIP", "MIP", "shower", "delta", "Michel", "low_energy")
MIP, SHOWER, DELTA, MICHEL, LOW = (
    TRUE_CLASSES.index(name) for name in ("MIP", "shower", "delta", "Michel", "low_energy")
)


def event(parts: list[tuple[int, int, float]], entry: int = 0, *, truth: bool = True) -> Prediction:
    """Particles as lines of voxels: true class, voxels, share of them (the first ones) that look like shower."""
    coords, semantic, instance, p_shower = [], [], [], []
    for number, (true_class, voxels, share) in enumerate(parts):
        coords += [(step, 3 * number) for step in range(voxels)]
        semantic += [true_class] * voxels
        instance += [number if true_class != LOW else -1] * voxels
        p_shower += [0.9 if step < round(share * voxels) else 0.2 for step in range(voxels)]
    p = np.array(p_shower, dtype=np.float64).reshape(-1, 1)
    probability = ((1 - p) * [0, 1, 0, 0, 0] + p * [0, 0, 1, 0, 0]).astype(np.float32)
    labels = {"semantic": np.array(semantic, dtype=np.int8), "instance": np.array(instance, dtype=np.int32)}
    columns = {"semantic/probability": probability, "semantic/label": probability.argmax(1).astype(np.int8)}
    where = np.array(coords, dtype=np.int32).reshape(-1, 2)
    return Prediction(
        EventKey("made.h5", entry), where, np.ones(len(where), np.float32), labels if truth else {}, columns
    )


def evaluate(events: list[Prediction], **decisions: Any) -> dict[str, Any]:
    config = SemanticConfig.model_validate({"decisions": {"min_voxels": 5, **decisions}})
    evaluator = config.evaluator("semantic", TRUE_CLASSES)
    for prediction in events:
        evaluator.update(prediction)
    result: dict[str, Any] = json.loads(json.dumps(evaluator.result(), allow_nan=False))
    return result["decisions"]


def test_perfect_decisions() -> None:
    found = evaluate([event([(MIP, 30, 0), (SHOWER, 20, 1)]), event([(MIP, 30, 0), (MIP, 10, 0)], 1)])
    assert found["voxels"]["accuracy"] == 1
    assert found["voxels"]["roc"]["auc"] == 1
    for scores in (
        found["cluster_decision"]["majority"],
        found["cluster_decision"]["same_cut"],
        found["event_decision"],
    ):
        assert [scores[name]["value"] for name in ("efficiency", "purity", "mistag", "accuracy")] == [1, 1, 0, 1]
    assert found["event_decision"]["confusion"] == [[1, 0, 0], [0, 1, 0]]
    assert found["event_decision"]["names"] == ["1mu1p", "1e1p"]
    assert found["event_decision"]["roc"]["auc"] == 1


def test_michel_and_delta_are_no_electron_but_look_like_one() -> None:
    """The true decision asks for the class shower alone; a cluster of its own that is a Michel misleads."""
    michel = event([(MIP, 30, 0), (MICHEL, 12, 1)])
    found = evaluate([michel])
    assert found["event_decision"]["confusion"] == [[0, 1, 0], [0, 0, 0]]
    assert found["cluster_decision"]["shower_like_by_class"]["Michel"] == {
        **found["cluster_decision"]["shower_like_by_class"]["Michel"],
        "value": 1,
        "n": 1,
    }
    assert found["cluster_decision"]["majority"]["accuracy"]["value"] == 1
    same = evaluate([michel], electron_classes=["shower", "delta", "Michel"])
    assert same["event_decision"]["confusion"] == [[0, 0, 0], [0, 1, 0]]
    assert evaluate([michel], min_voxels=13)["event_decision"]["confusion"] == [[1, 0, 0], [0, 0, 0]]


def test_majority_and_same_cut_differ() -> None:
    """One connected cluster, 30 % true shower, all of it recognised: right by the cut, wrong by the majority."""
    mixed = event([(MIP, 7, 0), (SHOWER, 3, 1)])
    mixed.coords[7:] = [(7 + step, 0) for step in range(3)]
    found = evaluate([mixed])["cluster_decision"]
    assert found["same_cut"]["accuracy"]["value"] == 1
    assert found["majority"]["mistag"]["value"] == 1


def test_many_events_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    events = [
        event(
            [
                (int(rng.choice([MIP, SHOWER, DELTA, LOW])), int(rng.integers(3, 30)), rng.choice([0, 0.1, 0.3, 1]))
                for _ in range(4)
            ],
            n,
        )
        for n in range(40)
    ]
    found = evaluate(events, clusters={"kind": "truth"})
    truth, score, like, share = [], [], [], []
    for prediction in events:
        p = prediction.columns["semantic/probability"][:, 2:].sum(axis=1)
        semantic = prediction.truth["semantic"]
        labelled = semantic != LOW
        truth += (np.isin(semantic, [SHOWER, DELTA, MICHEL]))[labelled].tolist()
        score += p[labelled].tolist()
        for number in np.unique(prediction.truth["instance"][labelled]):
            rows = prediction.truth["instance"] == number
            if rows.sum() >= 5:
                share.append(float((p[rows] >= 0.5).mean()))
                like.append(bool(semantic[rows][0] != MIP))
    assert (
        np.array(found["voxels"]["confusion"])[:, :2].tolist()
        == confusion_matrix(truth, np.array(score) >= 0.5).tolist()
    )
    assert found["voxels"]["roc"]["auc"] == pytest.approx(roc_auc_score(truth, score))
    decided = np.array(share) >= 0.2
    majority = found["cluster_decision"]["majority"]
    assert majority["efficiency"]["value"] == pytest.approx(recall_score(like, decided))
    assert majority["purity"]["value"] == pytest.approx(precision_score(like, decided))
    assert found["cluster_decision"]["considered"] == len(share)


def test_no_truth_no_voxels_no_decision() -> None:
    found = evaluate([event([]), event([(MIP, 3, 0)], 1), event([(MIP, 30, 0)], 2, truth=False)])
    assert found["event_decision"]["n"] == 0
    assert found["event_decision"]["without_truth"] == 2  # events without any truth are not evaluated
    assert found["event_decision"]["roc"] is None
    assert found["cluster_decision"]["majority"]["efficiency"]["value"] is None


def test_event_without_a_decision_is_wrong() -> None:
    """DBSCAN finds nothing where the truth has a track."""
    found = evaluate([event([(MIP, 30, 0)])], clusters={"kind": "dbscan", "eps": 0.5, "min_samples": 2})[
        "event_decision"
    ]
    assert found["confusion"] == [[0, 0, 1], [0, 0, 0]]
    assert found["without_decision"] == 1
    assert found["accuracy"]["value"] == 0
    assert found["mistag"]["value"] == 0

"""The evaluation of a semantic head: curves, calibration, intervals and subsets, event by event."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.vertices import VERTEX_TABLE
from lartpc_sparse.heads.semantic_evaluation import SemanticEvaluationConfig
from lartpc_sparse.heads.semantic_evaluator import SemanticEvaluator
from lartpc_sparse.metrics.segmentation import confusion_matrix, segmentation_scores
from lartpc_sparse.metrics.surroundings import distance_to_other_class, distance_to_points

CLASSES = ("HIP", "MIP", "shower", "delta", "Michel")
FILE_CLASSES = ("low_energy", *CLASSES)


def made(entry: int, n: int = 200, *, dim: int = 3, file: str = "a/val.h5", vertices: int = 2) -> Prediction:
    """Random voxels; three of four labels are right, some voxels have no prediction."""
    rng = np.random.default_rng(entry)
    truth = rng.integers(-1, 6, n)
    probability = rng.dirichlet(np.ones(5), n).astype(np.float32)
    right = (truth > 0) & (rng.random(n) < 0.75)
    probability[right, truth[right] - 1] += 1
    probability /= probability.sum(axis=1, keepdims=True)
    label = probability.argmax(axis=1)
    dropped = rng.random(n) < 0.05
    probability[dropped], label[dropped] = np.nan, -1
    return Prediction(
        EventKey(file, entry),
        rng.integers(0, 40, (n, dim)).astype(np.int32),
        rng.lognormal(0, 1, n).astype(np.float32),
        truth={"semantic": truth.astype(np.int8), "instance": rng.integers(-1, 4, n).astype(np.int32)},
        columns={"head/probability": probability, "head/label": label.astype(np.int8)},
        tables={VERTEX_TABLE: {"position": rng.random((vertices, dim)).astype(np.float32) * 40}},
    )


def evaluated(predictions: list[Prediction], **options: object) -> dict[str, object]:
    config = SemanticEvaluationConfig.model_validate({"bootstrap": 20, **options})
    evaluator = SemanticEvaluator(CLASSES, "head", FILE_CLASSES, config)
    for prediction in predictions:
        evaluator.update(prediction)
    result = evaluator.result()
    json.dumps(result, allow_nan=False)  # metrics.json refuses NaN
    return result


@pytest.mark.parametrize("dim", [2, 3])
def test_every_curve_against_all_voxels_at_once(dim: int) -> None:
    predictions = [made(entry, 30 * entry, dim=dim) for entry in range(5)]
    result = evaluated(predictions)
    truth = np.concatenate([p.truth["semantic"] for p in predictions]).astype(int) - 1
    truth[truth < 0] = -1
    label = np.concatenate([p.columns["head/label"] for p in predictions]).astype(int)
    split = np.cumsum([len(p) for p in predictions])[:-1]
    truths = np.split(truth, split)
    values = {
        "energy": np.concatenate([p.energy for p in predictions]),
        "event_voxels": np.concatenate([np.full(len(p), len(p)) for p in predictions]),
        "cluster_size": np.concatenate(
            [
                [np.sum((t == t[i]) & (p.truth["instance"] == p.truth["instance"][i])) for i in range(len(p))]
                for p, t in zip(predictions, truths, strict=True)
            ]
        ),
        "vertex_distance": np.concatenate(
            [distance_to_points(p.coords, p.tables[VERTEX_TABLE]["position"]) for p in predictions]
        ),
        "other_class_distance": np.concatenate(
            [distance_to_other_class(p.coords, t.astype(np.int64)) for p, t in zip(predictions, truths, strict=True)]
        ),
    }
    instance = np.concatenate([p.truth["instance"] for p in predictions])
    assert list(result["curves"]) == list(values)
    for name, value in values.items():
        curve = result["curves"][name]
        used = (truth >= 0) & ((instance >= 0) if name == "cluster_size" else True)
        place = np.searchsorted(curve["edges"], value, side="right")
        for bin_number in range(len(curve["edges"]) + 1):
            inside = used & (place == bin_number)
            assert curve["all"]["n"][bin_number] == inside.sum()
            for k, label_name in enumerate(CLASSES):
                rows = inside & (truth == k)
                found = curve["per_class"][label_name]
                assert found["n"][bin_number] == rows.sum()
                if rows.any():
                    assert found["rate"][bin_number] == pytest.approx(np.mean(label[rows] == k), abs=1e-5)
                    assert found["low"][bin_number] <= found["rate"][bin_number] <= found["high"][bin_number]
                else:
                    assert found["rate"][bin_number] is None
    assert result["events_with_vertex"] == 5


def test_scores_are_those_of_all_events_and_lie_in_their_intervals() -> None:
    predictions = [made(entry) for entry in range(6)]
    result = evaluated(predictions, bootstrap=300)
    truth = np.concatenate([p.truth["semantic"] for p in predictions]).astype(int) - 1
    label = np.concatenate([p.columns["head/label"] for p in predictions]).astype(int)
    expected = segmentation_scores(confusion_matrix(np.maximum(truth, -1), label, 5), CLASSES)
    assert {name: result[name] for name in expected} == expected
    low, high = result["intervals"]["accuracy"]["68"]
    assert low < result["accuracy"] < high
    wide = result["intervals"]["accuracy"]["95"]
    assert wide[0] < low < high < wide[1]
    assert result == evaluated(predictions, bootstrap=300)


def test_voxels_that_a_transform_dropped_are_wrong_or_left_out() -> None:
    predictions = [made(entry) for entry in range(3)]
    wrong, left = evaluated(predictions), evaluated(predictions, dropped="left_out")
    dropped = sum(((p.columns["head/label"] < 0) & (p.truth["semantic"] > 0)).sum() for p in predictions)
    assert np.array(wrong["confusion"])[:, -1].sum() == dropped > 0
    assert np.array(left["confusion"])[:, -1].sum() == 0
    assert left["accuracy"] > wrong["accuracy"]
    assert sum(wrong["curves"]["energy"]["all"]["n"]) - sum(left["curves"]["energy"]["all"]["n"]) == dropped
    assert wrong["calibration"] == left["calibration"]


def test_subsets_have_scores_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    nue = [made(entry, file="data/nue_3.h5") for entry in range(3)]
    other = [made(entry, file="data/bnb.h5") for entry in range(3, 5)]
    result = evaluated([*nue, *other], subsets={"nue": "nue_*", "path": "data/*", "none": "x"})
    alone = evaluated(nue)
    assert result["subsets"]["nue"]["events"] == 3
    assert result["subsets"]["path"]["events"] == 5
    for name in ("confusion", "accuracy", "track_shower", "intervals"):
        assert result["subsets"]["nue"][name] == alone[name]
    assert result["subsets"]["none"]["events"] == 0
    assert result["subsets"]["none"]["accuracy"] is None


def test_a_perfect_shower_score_is_calibrated() -> None:
    prediction = made(0)
    truth = prediction.truth["semantic"].astype(int) - 1
    sure = np.eye(5, dtype=np.float32)[np.maximum(truth, 0)]
    columns = {"head/probability": sure, "head/label": sure.argmax(1).astype(np.int8)}
    result = evaluated([Prediction(prediction.key, prediction.coords, prediction.energy, prediction.truth, columns)])
    assert result["accuracy"] == 1
    assert result["calibration"]["all"]["ece"] == 0
    assert result["calibration"]["shower_score"]["ece"] == 0
    assert all(entry["ece"] == 0 for entry in result["calibration"]["per_class"].values())
    assert result["events_with_vertex"] == 0  # a file from before vertices were stored
    assert sum(result["curves"]["vertex_distance"]["all"]["n"]) == 0
    assert result["intervals"] is None  # of one event


def test_nothing_empty_events_and_real_data() -> None:
    nothing = evaluated([])
    assert nothing["accuracy"] is None
    assert nothing["event_accuracy"] == []
    real = made(1)
    real = Prediction(real.key, real.coords, real.energy, {}, real.columns, real.tables)
    result = evaluated([made(0, 0), real, made(2, 1)])
    assert len(result["event_accuracy"]) == 2
    assert sum(result["curves"]["energy"]["all"]["n"]) <= 1


def held_bytes(value: object) -> int:
    """Of all arrays that are reachable through attributes, lists, tuples and dictionaries."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(held_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(held_bytes, value))
    return held_bytes(vars(value)) if hasattr(value, "__dict__") else 0


def test_memory_grows_by_one_confusion_matrix_an_event() -> None:
    evaluator = SemanticEvaluator(CLASSES, "head", FILE_CLASSES, SemanticEvaluationConfig())
    evaluator.update(made(0, 100))
    before = held_bytes(evaluator)
    for entry in range(5):
        evaluator.update(made(entry, 300))
    assert held_bytes(evaluator) - before == 5 * 5 * 6 * 4


@pytest.mark.parametrize("edges", [[2, 1], [1, 1], [float("inf")]])
def test_bad_edges_are_refused(edges: list[float]) -> None:
    with pytest.raises(ValidationError, match=r"bins\.energy"):
        SemanticEvaluationConfig.model_validate({"bins": {"energy": edges}})


def test_a_curve_without_edges_is_left_out() -> None:
    result = evaluated([made(0)], bins={"cluster_size": [], "other_class_distance": []})
    assert list(result["curves"]) == ["energy", "event_voxels", "vertex_distance"]

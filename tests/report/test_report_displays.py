import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from synthetic_run import CLASSES, make_prediction, write_run

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile
from lartpc_sparse.report.displays import display_of, make_displays
from lartpc_sparse.report.event_scores import event_scores, match_names
from lartpc_sparse.report.metrics_file import heads_of, read_metrics
from lartpc_sparse.report.packing import pack, unpack

HEADS = ("semantic", "particles", "gaps")


@given(hnp.arrays(np.int64, st.integers(0, 20), elements=st.integers(-(2**31), 2**31 - 1)))
@settings(max_examples=60, deadline=None)
def test_packing_keeps_integers(values):
    assert unpack(pack(values)).tolist() == values.tolist()


@pytest.mark.parametrize(("high", "name"), [(127, "int8"), (128, "int16"), (32767, "int16"), (32768, "int32")])
def test_packing_takes_the_smallest_type(high, name):
    assert pack(np.array([high]))["type"] == name


def test_packing_of_floats_and_booleans():
    assert unpack(pack(np.array([0.5, np.nan]))).dtype == np.float32
    assert unpack(pack(np.array([True, False]))).tolist() == [1, 0]
    with pytest.raises(ValueError, match="int32"):
        pack(np.array([2**31]))
    with pytest.raises(ValueError, match="numbers"):
        pack(np.array(["a"]))


def one(dim=3, voxels=300, heads=HEADS, truth=True):
    return make_prediction(np.random.default_rng(5), 3, file="a.h5", dim=dim, voxels=voxels, heads=heads, truth=truth)


def display(prediction, heads=None, max_voxels=10000):
    return display_of(prediction, CLASSES, heads or {}, "typical", max_voxels)


@pytest.mark.parametrize("dim", [2, 3])
def test_coordinates_and_energy_are_stored_once_and_come_back(dim):
    prediction = one(dim)
    payload = display(prediction).payload
    assert unpack(payload["coords"]).reshape(dim, -1).T.tolist() == prediction.coords.tolist()
    np.testing.assert_array_equal(unpack(payload["energy"]), prediction.energy)
    assert len(payload["ranges"]) == dim
    for axis, (low, high) in enumerate(payload["ranges"]):
        assert low < prediction.coords[:, axis].min() <= prediction.coords[:, axis].max() < high


def test_views_are_those_of_the_heads():
    assert display(one()).views == ("semantic", "particles", "particles, true semantics", "gaps")
    assert display(one(heads=("gaps",))).views == ("gaps",)
    assert display(one(heads=())).views == ()


def test_classes_are_matched_by_name():
    prediction = one(heads=("semantic",))
    own = ("shower", "HIP", "delta", "Michel")  # another order than the file's, and without MIP
    renumbered = np.array([1, -1, 0, 2, 3])[prediction.truth["semantic"]]
    same = Prediction(
        prediction.key, prediction.coords, prediction.energy, prediction.truth, {"semantic/label": renumbered}
    )
    view = display(same, {"semantic": {"classes": list(own)}}).payload["views"][0]
    names = {entry["value"]: entry["name"] for entry in view["classes"]}
    truth = [names.get(value, "none") for value in unpack(view["truth"]).tolist()]
    predicted = [names.get(value, "none") for value in unpack(view["prediction"]).tolist()]
    assert truth == [CLASSES[k] for k in prediction.truth["semantic"]]
    assert predicted == ["none" if name == "MIP" else name for name in truth]


@given(st.permutations(list(CLASSES)), st.lists(st.integers(-1, 4), max_size=10))
@settings(max_examples=40, deadline=None)
def test_match_names_agrees_with_a_dictionary(common, labels):
    found = match_names(np.array(labels, dtype=np.int64), CLASSES, common)
    assert found.tolist() == [common.index(CLASSES[k]) if k >= 0 else -1 for k in labels]


def test_labels_beyond_the_names_are_none():
    assert match_names(np.array([0, 9, -7]), ["a"], ["a"]).tolist() == [0, -1, -1]


def test_gap_voxels_are_found_missed_or_false():
    table = {
        "coords": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.int32),
        "probability": np.array([0.9, 0.1, 0.8, 0.2], dtype=np.float32),
        "energy": np.array([1, 2, 3, 4], dtype=np.float32),
        "active": np.array([True, True, False, False]),
        "target_energy": np.array([5, 6, 0, 0], dtype=np.float32),
        "gap": np.zeros(4, dtype=np.int64),
    }
    coords = np.array([[5, 5], [0, 1], [0, 0]], dtype=np.int32)
    prediction = Prediction(EventKey("a", 0), coords, np.ones(3, dtype=np.float32), tables={"gaps": table})
    (view,) = display(prediction).payload["views"]
    assert unpack(view["coords"]).reshape(2, -1).T.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert [view["states"][k][0] for k in unpack(view["state"])] == ["found", "missed", "false"]
    assert unpack(view["hidden"]).tolist() == [0, 1, 1]
    assert view["threshold"] == "threshold not known"
    (view,) = display(prediction, {"gaps": {"threshold": 0.05}}).payload["views"]
    assert [view["states"][k][0] for k in unpack(view["state"])] == ["found", "found", "false", "false"]
    assert view["threshold"] == "threshold 0.05"
    table["fill"] = np.array([1, 0, 0, 0], dtype=np.float32)
    (view,) = display(prediction, {"gaps": {"threshold": [[5, 0.24], [20, 0.16]]}}).payload["views"]
    assert [view["states"][k][0] for k in unpack(view["state"])] == ["found", "missed"]
    assert view["threshold"] == "threshold 0.24 to 0.16"


def test_a_large_event_is_drawn_in_part_and_says_so():
    shown = display(one(), max_voxels=100)
    assert len(unpack(shown.payload["energy"])) == 100
    assert "100 of them drawn" in shown.remark
    for view in shown.payload["views"][:3]:
        assert len(unpack(view["prediction"])) == 100


def test_real_data_has_no_truth_panel():
    views = display(one(truth=False)).payload["views"]
    assert [view["truth"] for view in views[:3]] == [None, None, None]


def test_the_scores_of_the_metrics_are_used_when_they_cover_the_file(tmp_path):
    run = write_run(tmp_path, events=4)
    heads = heads_of(read_metrics(run.metrics))
    with PredictionFile(run.predictions) as file:
        assert event_scores(file, heads).values.tolist() == heads["semantic"]["event_accuracy"]
        heads["semantic"]["event_accuracy"].append(0.5)
        scores = event_scores(file, heads)
        expected = file.read(0)
        accuracy = np.mean(expected.columns["semantic/label"] == expected.truth["semantic"])
    assert scores.title == "accuracy of semantic"
    assert scores.values[0] == pytest.approx(accuracy)
    assert np.isnan(scores.values[[1, 4]]).all()  # the empty and the skipped event


@pytest.mark.parametrize(
    ("heads", "title"), [(("particles",), "ARI of particles"), (("gaps",), "gap F1 of gaps"), ((), "no score")]
)
def test_without_a_semantic_head_another_score_ranks_the_events(tmp_path, heads, title):
    run = write_run(tmp_path, events=4, heads=heads)
    with PredictionFile(run.predictions) as file:
        scores = event_scores(file, {})
    assert scores.title == title
    assert np.isfinite(scores.values[0]) == bool(heads)
    assert (scores.values[np.isfinite(scores.values)] <= 1).all()


def test_skipped_and_tiny_events_are_not_displayed(tmp_path):
    run = write_run(tmp_path, events=6)
    with PredictionFile(run.predictions) as file:
        shown = make_displays(file, heads_of(read_metrics(run.metrics)), 12, 1000)
        assert make_displays(file, {}, 0, 1000) == ()
    assert {d.title for d in shown} == {f"val_flat.h5 entry {k}" for k in (0, 2, 3, 4, 5)}
    assert all("accuracy of semantic" in d.reason for d in shown)


def test_the_title_has_the_file_name_and_the_source_its_path():
    coords = np.zeros((1, 3), dtype=np.int32)
    shown = display(Prediction(EventKey("/data/set one/a.h5", 7), coords, np.ones(1, dtype=np.float32)))
    assert shown.title == "a.h5 entry 7"
    assert shown.source == "/data/set one/a.h5 entry 7"
    assert all(high > low for low, high in shown.payload["ranges"])

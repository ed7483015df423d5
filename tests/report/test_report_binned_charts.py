import json

import numpy as np
import pytest
from synthetic_run import measured_metrics

from lartpc_sparse.report.binned_charts import binned_rates, read_bins, reliability
from lartpc_sparse.report.intervals import limits_of, with_limits
from lartpc_sparse.report.semantic_figures import calibration_blocks, curve_blocks, two_class_table

COLUMNS = {
    "n": [10, 0, 4],
    "mean": [0.5, None, None],
    "rate": [0.9, None, 1.0],
    "low": [0.8, None, 0.7],
    "high": [0.95, None, 1.0],
}


def test_empty_bins_are_left_out_and_open_ones_have_a_place():
    bins = read_bins("all", "#000000", COLUMNS)
    assert bins.place.tolist() == [0, 2]
    spec = binned_rates([bins], (1.0, 10.0), "x", "y", bins)
    points, bars = spec["data"]
    assert points["x"][0] == 0.5
    assert points["x"][1] > 10  # no mean: in the middle of the last bin
    assert points["y"] == [0.9, 1.0]
    assert points["error_y"]["array"] == pytest.approx([0.05, 0.0])
    assert points["error_y"]["arrayminus"] == pytest.approx([0.1, 0.3])
    assert [row[0] for row in points["customdata"]] == ["below 1", "from 10"]
    assert max(bars["y"]) == 10
    assert spec["layout"]["yaxis"]["range"][0] < 0.7
    json.dumps(spec, allow_nan=False)


@pytest.mark.parametrize("damage", [None, {}, {**COLUMNS, "n": [1]}, {**COLUMNS, "n": None}, {**COLUMNS, "n": [0] * 3}])
def test_missing_or_damaged_curves_are_no_curves(damage):
    assert read_bins("all", "#000000", damage) is None


def test_points_of_a_reliability_diagram_are_at_their_mean_score():
    bins = read_bins("all", "#000000", {**COLUMNS, "mean": [0.1, None, 0.9]})
    spec = reliability([bins], 3, bins)
    assert spec["data"][1]["x"] == [0.1, 0.9]
    json.dumps(spec, allow_nan=False)


def test_blocks_of_measured_metrics():
    metrics = measured_metrics(np.random.default_rng(0))
    (grid,) = curve_blocks(metrics)
    assert len(grid.figures) == 5
    (calibration,) = calibration_blocks(metrics)
    assert [figure.title for figure in calibration.figures] == ["Calibration", "Calibration of each class"]
    table = two_class_table({**metrics, "track_shower": {"accuracy": 0.9, "per_class": {}}})
    assert [row[0] for row in table.rows] == ["all events", "even", "none"]
    assert "(" in table.rows[1][3]
    note = curve_blocks({**metrics, "events_with_vertex": 0})[-1]
    assert "no curve against the distance to the vertex" in note.text
    assert curve_blocks({}) == calibration_blocks({}) == []
    assert two_class_table({}) is None


def test_intervals_stand_beside_their_scores():
    metrics = {"intervals": {"accuracy": {"68": [0.91, 0.93], "95": [0.9, 0.94]}, "macro": {"f1": None}}}
    assert with_limits(0.92, limits_of(metrics, "accuracy")) == "92.00\u2009% (91.00–93.00)"
    assert with_limits(0.92, limits_of(metrics, "macro", "f1")) == "92.00\u2009%"
    assert with_limits(None, limits_of(metrics, "accuracy")) == "–"
    assert limits_of({"intervals": None}, "accuracy") is None

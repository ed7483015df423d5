"""Decisions through a whole chain: predictions file, metrics, report, and a comparison of two such files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lartpc_sparse.compare import compare_predictions
from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.run import main


def test_decisions_from_the_instances_of_the_network(small_chain: Callable[..., list[str]], tmp_path: Path) -> None:
    decisions = "{clusters: {kind: instances}, min_voxels: 5, shower_event: nue, track_event: numu}"
    assert main(small_chain(f"model.heads.semantic.decisions={decisions}", "train.epochs=1")) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())["heads"]["semantic"]["decisions"]
    assert metrics["event_decision"]["names"] == ["numu", "nue"]
    assert metrics["event_decision"]["n"] == 3
    with PredictionFile(tmp_path / "run" / "predictions.h5") as file:
        event = file.read(0)
    table, row = event.tables["semantic.clusters"], event.columns["semantic/decision_cluster"]
    np.testing.assert_array_equal(table["id"][row[row >= 0]], event.columns["particles/cluster"][row >= 0])
    np.testing.assert_array_equal(np.bincount(row[row >= 0]), table["voxels"])
    assert event.tables["semantic.event"]["decision"].shape == (1,)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Decisions against the truth" in page
    assert "is nue." in page
    same = compare_predictions(tmp_path / "run" / "predictions.h5", [tmp_path / "run" / "predictions.h5"], resamples=5)
    assert same.decisions.clusters.kind == "instances"
    assert same.variations[0].counts["changed"] == 0

"""Particles through a whole chain: predictions file, CSV, metrics, report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.run import main


def test_particles_of_a_clustering_head(small_chain: Callable[..., list[str]], tmp_path: Path) -> None:
    assert main(small_chain("model.heads.particles.particles={kind: geometric}", "train.epochs=1")) == 0
    run = tmp_path / "run"
    metrics = json.loads((run / "metrics.json").read_text())["heads"]["particles"]["particles"]
    assert set(metrics) == {"predicted", "true"}
    assert metrics["true"]["grouping"]["showers"]["found"]["events"] > 0
    with PredictionFile(run / "predictions.h5") as file:
        events = list(file)
    rows = 0
    for event in events:
        for ending in ("", "_true_semantics"):
            table, row = event.tables[f"particles.particles{ending}"], event.columns[f"particles/particle{ending}"]
            np.testing.assert_array_equal(np.bincount(row[row >= 0], minlength=len(table["voxels"])), table["voxels"])
            rows += len(table["voxels"])
    with (run / "particles.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == rows
    assert "Showers and interactions" in (run / "report.html").read_text()

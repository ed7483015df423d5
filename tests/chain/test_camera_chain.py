"""Camera frames through whole chains: every config simulates, trains, tunes, predicts and reports in small."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lartpc_sparse.data.prediction_file import PredictionFile
from lartpc_sparse.run import main

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("camera_*.yaml"))

SMALL = [
    "simulate.events=9",
    "simulate.pedestal_frames=4",
    "simulate.processes=1",
    "simulate.events_per_file=9",
    "simulate.sensor.size=[192, 192]",
    "simulate.margin_pixels=30",
    "simulate.recoils.per_image=[2, 3]",
    "data.train.pedestal.select=[0, 4]",
    "data.validation.pedestal.select=[0, 4]",
    "data.test.pedestal.select=[0, 4]",
    *(
        f"data.{part}.{key}=['${{simulation}}/{stream}_*.h5']"
        for part in ("train", "validation")
        for key, stream in (("files", "frames"), ("truth", "truth"))
    ),
    "data.train.select=[4, 6]",
    "data.validation.select=[6, 7]",
    "data.test.select=[7, 9]",
    "train.epochs=1",
    "train.validate_every=1",
    "model.backbone.filters=4",
    "model.backbone.depth=2",
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_camera_config_runs(path: Path, tmp_path: Path) -> None:
    assert main([str(path), "--set", *SMALL, f"run.output_dir={tmp_path}"]) == 0
    scores = json.loads((tmp_path / "metrics.json").read_text())["heads"]["signal"]
    assert set(scores["methods"]) == {"network", "classical"}
    for method in scores["methods"].values():
        assert method["images"] == 2
        assert method["seconds"]["total"] > 0
    assert 0 < scores["threshold"] < 1
    assert scores["threshold"] == json.loads((tmp_path / "tuned.json").read_text())["settings"]["signal"]["threshold"]
    with PredictionFile(tmp_path / "predictions.h5") as predictions:
        clusters = [prediction.tables["signal"] for prediction in predictions]
        assert all("network:seconds" in prediction.tables for prediction in predictions)
    with (tmp_path / "clusters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(table["cluster"]) for table in clusters)
    report = (tmp_path / "report.html").read_text()
    assert "Pixel selection: signal" in report
    assert "classical chain" in report


def test_there_are_four_configs() -> None:
    assert [path.stem for path in CONFIGS] == [
        "camera_attention",
        "camera_attention_small",
        "camera_small",
        "camera_unet",
    ]

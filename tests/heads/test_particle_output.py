"""Particles as columns, tables and CSV of a prediction, and their metrics."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile, PredictionWriter
from lartpc_sparse.data.true_particles import TRUE_PARTICLES, true_particles
from lartpc_sparse.heads import SpatialEmbeddingConfig
from lartpc_sparse.heads.particles import GeometricParticlesConfig, with_particles
from lartpc_sparse.heads.particles.evaluator import ParticleScores
from lartpc_sparse.metrics.particles import match_particles, summarise_values
from lartpc_sparse.report.particle_section import particle_blocks
from lartpc_sparse.steps.particle_csv import ParticleCsv

CLASSES = ("shower", "track", "Michel", "delta")
GROUPS = {name: (name,) for name in CLASSES}
GEOMETRIC = GeometricParticlesConfig()
KEY = EventKey("file.h5", 3)


def made_event():
    """A track from a vertex, a shower of two fragments that begins there, and a low-energy voxel."""
    track = np.stack([np.arange(100, 160), np.full(60, 100), np.full(60, 100)], axis=1)
    shower = np.stack([np.full(60, 100), np.r_[101:141, 180:200], np.full(60, 100)], axis=1)
    coords = np.concatenate([track, shower, [[500, 500, 500]]]).astype(np.int32)
    instance = np.repeat([0, 1, 2, -1], [60, 40, 20, 1])
    return Event(
        key=KEY,
        coords=coords,
        energy=np.ones(121, np.float32),
        image_size=(768, 768, 768),
        classes=CLASSES,
        labels={
            "semantic": np.repeat([1, 0, -1], [60, 60, 1]),
            "instance": instance,
            "group": np.repeat([0, 1, -1], [60, 60, 1]),
            "interaction": np.repeat([0, -1], [120, 1]),
            "pid": np.repeat([2, 1, -1], [60, 60, 1]),
        },
        particles={
            "group": np.array([-1, 0, 1, 1]),
            "vertex_x": np.array([-1.0, 100, 100, 100]),
            "vertex_y": np.array([-1.0, 100, 100, 100]),
            "vertex_z": np.array([-1.0, 100, 100, 9000]),
            "px_gev": np.array([-1.0, 2, 0, 0]),
            "py_gev": np.array([-1.0, 0, 0, 0]),
            "pz_gev": np.array([-1.0, 0, 0, 0]),
            "kinetic_energy_mev": np.array([-1.0, 120, 80, 80]),
        },
    )


def made_prediction(config=GEOMETRIC, status="ok"):
    event = made_event()
    kind = event.labels["semantic"].astype(np.int8)
    prediction = Prediction(
        key=KEY,
        coords=event.coords,
        energy=event.energy,
        truth=dict(event.labels),
        columns={
            "own/cluster_true_semantics": event.labels["instance"].astype(np.int32),
            "own/cluster_class_true_semantics": kind,
        },
        tables={TRUE_PARTICLES: true_particles(event)},
        status=status,
    )
    return with_particles(prediction, "own", CLASSES, config)


def test_true_particles_of_the_particle_table():
    table = true_particles(made_event())
    assert table["group"].tolist() == [0, 1]
    np.testing.assert_allclose(table["start"], [[100] * 3] * 2)
    np.testing.assert_allclose(table["direction"][0], [1, 0, 0])
    assert np.isnan(table["direction"][1]).all()
    assert table["kinetic_energy_mev"].tolist() == [120, 80]
    bare = true_particles(dataclasses.replace(made_event(), particles={}))
    assert {name: len(values) for name, values in bare.items()} == dict.fromkeys(table, 0)
    assert {name: values.dtype for name, values in bare.items()} == {n: v.dtype for n, v in table.items()}


def test_positions_outside_the_image_are_no_starts():
    event = made_event()
    far = dict(event.particles) | {"vertex_x": event.particles["vertex_x"] + 1000}
    assert np.isnan(true_particles(dataclasses.replace(event, particles=far))["start"]).all()


def test_columns_and_tables():
    prediction = made_prediction()
    assert prediction.columns["own/particle_true_semantics"].tolist() == [0] * 60 + [1] * 60 + [-1]
    table = prediction.tables["own.particles_true_semantics"]
    assert table["fragments"].tolist() == [1, 2]
    assert table["interaction"].tolist() == [0, 0]
    assert table["start"].dtype == np.float32
    assert table["semantic"].dtype == np.int8


def test_without_particles_nothing_is_added():
    prediction = made_prediction(config=None)
    assert set(prediction.tables) == {TRUE_PARTICLES}


def test_a_skipped_event_has_no_particles_but_the_same_columns():
    skipped, good = made_prediction(status="bad energy"), made_prediction()
    assert set(skipped.columns) == set(good.columns)
    assert (skipped.columns["own/particle_true_semantics"] == -1).all()
    assert len(skipped.tables["own.particles_true_semantics"]["energy"]) == 0


def test_metrics_of_a_perfect_event():
    scores = ParticleScores("own", "_true_semantics", GROUPS, CLASSES)
    scores.update(made_prediction())
    result = scores.result()
    assert result["grouping"]["showers"]["found"]["ari"] == 1
    assert result["grouping"]["showers"]["not_grouped"]["efficiency"] == pytest.approx(2 / 3)
    assert result["grouping"]["interactions"]["found"]["sbd"] == 1
    assert result["matched"]["track"]["start_distance"]["median"] == pytest.approx(0.75**0.5, rel=1e-3)
    assert result["matched"]["track"]["direction_deg"]["median"] == pytest.approx(0, abs=0.1)
    assert result["matched"]["track"]["kinetic_ratio"]["median"] == pytest.approx(0.5)
    assert result["matched"]["shower"]["energy_ratio"] == {"n": 1, "mean": 1, "median": 1, "low": 1, "high": 1}
    assert result["matched"]["shower"]["direction_deg"]["n"] == 0
    assert result["proton_score"]["auc"] is None
    captions = [block.caption for block in particle_blocks({"true": result})]
    assert len(captions) == 2
    assert particle_blocks(None) == ()


def test_metrics_without_truth():
    scores = ParticleScores("own", "_true_semantics", GROUPS, CLASSES)
    scores.update(dataclasses.replace(made_prediction(), truth={}))
    assert scores.events == 0
    assert scores.result()["matched"]["track"]["energy_ratio"]["n"] == 0


def test_matching_is_mutual():
    truth, found = np.array([0, 0, 0, 1, 1, -1]), np.array([5, 5, 5, 5, 7, 7])
    assert [side.tolist() for side in match_particles(truth, found)] == [[0], [5]] or [
        side.tolist() for side in match_particles(truth, found)
    ] == [[0, 1], [5, 7]]
    nothing = match_particles(truth, np.full(6, -1))
    assert [len(side) for side in nothing] == [0, 0]
    assert summarise_values([np.nan])["n"] == 0


def test_file_and_csv(tmp_path):
    path, table = tmp_path / "predictions.h5", tmp_path / "particles.csv"
    writer = PredictionWriter(path, image_size=(768,) * 3, classes=CLASSES, attributes={})
    with writer, ParticleCsv(table, {"own": CLASSES}, 3) as rows:
        for prediction in (made_prediction(), made_prediction(status="bad")):
            writer.write(prediction)
            rows.write(prediction)
    with PredictionFile(path) as file:
        assert file.read(0).tables["own.particles_true_semantics"]["direction"].shape == (2, 3)
    with table.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["class"] for row in found] == ["track", "shower"]
    assert (found[0]["file"], found[0]["entry"], found[0]["semantics"]) == ("file.h5", "3", "true")
    assert float(found[1]["start_y"]) == 101.5
    assert found[1]["proton_score"] == ""
    with ParticleCsv(table, {}, 3) as rows:
        rows.write(made_prediction())
    assert not table.exists()


def test_the_head_takes_the_option_and_names_the_valid_kinds():
    head = SpatialEmbeddingConfig.model_validate({"particles": {"kind": "geometric", "showers": {"angle_deg": 9}}})
    assert head.particles.showers.angle_deg == 9
    with pytest.raises(ValueError, match="valid: geometric"):
        SpatialEmbeddingConfig.model_validate({"particles": {"kind": "magic"}})

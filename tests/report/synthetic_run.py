"""Writes the inputs of a report for an invented run: random tracks and blobs, imperfect predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionWriter
from lartpc_sparse.data.vertices import VERTEX_TABLE
from lartpc_sparse.heads.base import DECODE_TABLE
from lartpc_sparse.heads.instance_evaluator import InstanceEvaluator
from lartpc_sparse.heads.semantic_evaluation import SemanticEvaluationConfig
from lartpc_sparse.heads.semantic_evaluator import SemanticEvaluator

CLASSES = ("HIP", "MIP", "shower", "delta", "Michel")
IMAGE_SIZE = 256


@dataclass(frozen=True)
class SyntheticRun:
    """Paths of the files of one run."""

    metrics: Path
    predictions: Path
    training_log: Path


def make_event(rng: np.random.Generator, dim: int, voxels: int) -> tuple[np.ndarray, ...]:
    """Coords, energy, semantic and instance of an event of straight tracks and one shower a track."""
    parts = []
    tracks = 6
    for instance in range(tracks):
        semantic = int(rng.integers(len(CLASSES)))
        start = rng.uniform(40, 216, dim)
        direction = rng.normal(size=dim)
        direction /= np.linalg.norm(direction)
        along = np.linspace(0, rng.uniform(30, 120), max(2 * voxels // tracks, 4))[:, None]
        width = 5.0 if CLASSES[semantic] == "shower" else 0.5
        points = np.round(start + along * direction + rng.normal(scale=width, size=(len(along), dim)))
        parts.append(np.column_stack([points, np.full(len(points), semantic), np.full(len(points), instance)]))
    rows = np.concatenate(parts).astype(np.int64)
    rows = rows[((rows[:, :dim] >= 0) & (rows[:, :dim] < IMAGE_SIZE)).all(axis=1)]
    rows = rows[np.unique(rows[:, :dim], axis=0, return_index=True)[1]][:voxels]
    energy = rng.lognormal(0.0, 0.8, len(rows)).astype(np.float32)
    return rows[:, :dim].astype(np.int32), energy, rows[:, dim], rows[:, dim + 1]


def make_gaps(rng: np.random.Generator, coords: np.ndarray, energy: np.ndarray) -> dict[str, np.ndarray]:
    """The table of an inpainting head: one box of candidates around a random voxel."""
    dim = coords.shape[1]
    centre = coords[rng.integers(len(coords))] if len(coords) else np.zeros(dim, dtype=np.int32)
    grid = np.stack(np.meshgrid(*[np.arange(c - 6, c + 6) for c in centre], indexing="ij"), axis=-1).reshape(-1, dim)
    known = {tuple(row): value for row, value in zip(coords.tolist(), energy.tolist(), strict=True)}
    target = np.array([known.get(tuple(row), 0.0) for row in grid.tolist()], dtype=np.float32)
    active = target > 0
    probability = np.clip(np.where(active, 0.75, 0.05) + rng.normal(scale=0.2, size=len(grid)), 0, 1)
    return {
        "coords": grid.astype(np.int32),
        "probability": probability.astype(np.float32),
        "energy": (target * rng.lognormal(0, 0.2, len(grid)) + 0.1).astype(np.float32),
        "active": active,
        "target_energy": target,
        "gap": np.zeros(len(grid), dtype=np.int64),
    }


def make_prediction(
    rng: np.random.Generator, entry: int, *, file: str, dim: int, voxels: int, heads: Sequence[str], truth: bool = True
) -> Prediction:
    """One event with imperfect results of the chosen heads."""
    coords, energy, semantic, instance = make_event(rng, dim, voxels)
    n = len(coords)
    columns: dict[str, np.ndarray] = {}
    tables = {}
    if "semantic" in heads:
        wrong = rng.random(n) < rng.uniform(0.01, 0.2)
        label = np.where(wrong, rng.integers(len(CLASSES), size=n), semantic)
        columns["semantic/label"] = label.astype(np.int64)
        certain = rng.uniform(0.5, 1, (n, 1)) * np.eye(len(CLASSES))[label]
        spread = rng.dirichlet(np.ones(len(CLASSES)), n) * (1 - certain.sum(axis=1, keepdims=True))
        columns["semantic/probability"] = (certain + spread).astype(np.float32)
    if "particles" in heads:
        merged = np.where(rng.random(n) < 0.1, -1, np.where(instance == 1, 0, instance) + 10)
        columns["particles/cluster"] = merged.astype(np.int64)
        columns["particles/cluster_true_semantics"] = (instance + 3).astype(np.int64)
        tables[DECODE_TABLE] = {"particles": np.array([1e-5 * n], dtype=np.float32)}
    if "gaps" in heads:
        tables["gaps"] = make_gaps(rng, coords, energy)
    starts = [coords[instance == number][:1] for number in np.unique(instance)[:2]]
    positions = np.concatenate([np.empty((0, dim)), *starts]) + 0.5
    tables[VERTEX_TABLE] = {"position": positions.astype(np.float32)}
    labels = {"semantic": semantic, "instance": instance} if truth else {}
    return Prediction(EventKey(file, entry), coords, energy, labels, columns, tables)


def summary(values: np.ndarray) -> dict[str, Any]:
    """Mean, median, quantiles and values, as the metrics of a clustering have them."""
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "quantiles": {"0.05": float(np.quantile(values, 0.05))},
        "values": values.round(4).tolist(),
    }


def clustering_classes(rng: np.random.Generator, events: int, quality: float) -> dict[str, Any]:
    """Scores per class of one way of clustering."""
    found = {}
    for name in CLASSES[1:]:
        scores: dict[str, Any] = {
            key: summary(1 - np.clip(rng.exponential(1 - quality, events), 0, 1))
            for key in ("ari", "purity", "efficiency", "sbd")
        }
        n_true = rng.poisson(5, events) + 1
        scores["n_true"] = n_true.tolist()
        scores["n_predicted"] = np.maximum(n_true + rng.integers(-1, 3, events), 0).tolist()
        found[name] = scores
    return found


def measured_clustering(rng: np.random.Generator) -> dict[str, Any]:
    """What the evaluator of a clustering head finds in a few invented events, beyond its scores."""
    evaluator = InstanceEvaluator("spatial_embedding", {name: (name,) for name in CLASSES}, "particles", CLASSES)
    evaluator.use_semantics("semantic", CLASSES)
    for entry in range(6):
        made = make_prediction(rng, entry, file="a.h5", dim=3, voxels=300, heads=("semantic", "particles"))
        evaluator.update(made)
    found = evaluator.result()
    names = ("definitions", "cut", "comparison", "particles", "curves", "decode_seconds")
    return {name: found[name] for name in (*names, "baselines_predicted_semantics")}


def measured_metrics(rng: np.random.Generator) -> dict[str, Any]:
    """What the evaluator of a semantic head finds in a few invented events, beyond its scores."""
    config = SemanticEvaluationConfig.model_validate({"subsets": {"even": "even*", "none": "*.root"}, "bootstrap": 50})
    evaluator = SemanticEvaluator(CLASSES, "semantic", CLASSES, config)
    for entry in range(6):
        file = "even.h5" if entry % 2 == 0 else "odd.h5"
        evaluator.update(make_prediction(rng, entry, file=file, dim=3, voxels=300, heads=("semantic",)))
    found = evaluator.result()
    return {name: found[name] for name in ("intervals", "subsets", "curves", "events_with_vertex", "calibration")}


def semantic_metrics(rng: np.random.Generator, events: int) -> dict[str, Any]:
    """Metrics of a semantic head."""
    k = len(CLASSES)
    confusion = rng.integers(0, 900, (k, k + 1)) + 40000 * np.eye(k, k + 1, dtype=np.int64)
    scores = {"recall": 0.96, "precision": 0.951234, "f1": 0.955, "iou": 0.91}
    return {
        "kind": "semantic",
        "classes": list(CLASSES),
        "confusion": confusion.tolist(),
        "accuracy": 0.9612,
        "per_class": {name: {"n": int(confusion[i].sum()), **scores} for i, name in enumerate(CLASSES)},
        "macro": scores,
        "track_shower": {
            "classes": ["track", "shower"],
            "confusion": [[81000, 700], [950, 120000]],
            "accuracy": 0.9919,
            "per_class": {"track": {"n": 81700, "recall": 0.9914}, "shower": {"n": 120950, "recall": 0.9921}},
        },
        **measured_metrics(rng),
        "event_accuracy": (1 - np.clip(rng.exponential(0.05, events), 0, 0.6)).tolist(),
    }


def inpaint_metrics(rng: np.random.Generator) -> dict[str, Any]:
    """Metrics of an inpainting head."""
    threshold = np.linspace(0.02, 0.98, 49)
    recall, precision = 1 - threshold**3, 0.35 + 0.64 * threshold**0.5
    f1 = 2 * recall * precision / (recall + precision)
    true = rng.lognormal(3, 0.7, 300)
    ratio = rng.lognormal(0, 0.2, 300)
    n_true = rng.poisson(18, 300)
    return {
        "kind": "inpaint",
        "threshold": 0.46,
        "precision": 0.784,
        "recall": 0.903,
        "f1": 0.839,
        "iou": 0.723,
        "curve": {
            key: list(value)
            for key, value in {"threshold": threshold, "precision": precision, "recall": recall, "f1": f1}.items()
        },
        "charge": {
            "ratio": ratio.tolist(),
            "median": float(np.median(ratio)),
            "half_width_68": 0.2,
            "relative_error": 0.161,
            "true": true.tolist(),
            "predicted": (true * ratio).tolist(),
        },
        "voxels": {"true": n_true.tolist(), "predicted": (n_true + rng.integers(-3, 5, 300)).tolist()},
        "chamfer": {"mean": 0.61, "values": [0.5, 0.72]},
        "baselines": {"nothing": {"f1": 0.0, "iou": 0.0, "charge": {"median": 0.0, "relative_error": 1.0}}},
    }


def make_metrics(rng: np.random.Generator, events: int, heads: Sequence[str]) -> dict[str, Any]:
    """What the step `evaluate` writes."""
    found: dict[str, Any] = {}
    if "semantic" in heads:
        found["semantic"] = semantic_metrics(rng, events)
    if "particles" in heads:
        found["particles"] = {
            "kind": "spatial_embedding",
            "semantics": {key: clustering_classes(rng, 200, q) for key, q in (("true", 0.97), ("predicted", 0.93))},
            "mean_ari": {"true": 0.969, "predicted": 0.928},
            "baselines": {name: clustering_classes(rng, 200, 0.8) for name in ("connected_components", "dbscan")},
            **measured_clustering(np.random.default_rng(7)),
        }
    if "gaps" in heads:
        found["gaps"] = inpaint_metrics(rng)
    return {
        "lartpc_sparse_version": "0.1.0",
        "git_hash": "0123456789ab",
        "created": "2026-01-02T03:04:05+00:00",
        "events": events,
        "skipped_events": 1,
        "voxels": 123456,
        "heads": found,
    }


def write_training_log(path: Path, rng: np.random.Generator, steps: int = 1200) -> None:
    """A CSV log with training rows at each step and validation rows now and then."""
    terms = (
        "loss",
        "semantic/cross_entropy",
        "semantic/accuracy",
        "particles/mask",
        "particles/inter_cluster",
        "gaps/activity",
    )
    header = [
        "step",
        "epoch",
        "wall_s",
        *(f"train/{t}" for t in terms),
        *(f"val/{t}" for t in terms),
        "lr",
        "voxels_per_s",
    ]
    lines = [",".join(header)]
    for step in range(steps):
        base = [2 * np.exp(-step / 300) + 0.1 + 0.2 * rng.random() for _ in terms]
        lines.append(
            ",".join(
                [
                    f"{step}",
                    f"{step // 300}",
                    f"{step * 0.1:.1f}",
                    *(f"{v:.5f}" for v in base),
                    *[""] * len(terms),
                    f"{1e-3 * np.cos(step / steps * 1.5):.6g}",
                    f"{5e4 + 1e4 * rng.random():.0f}",
                ]
            )
        )
        if step % 100 == 99:
            lines.append(
                ",".join(
                    [f"{step}", f"{step // 300}", "", *[""] * len(terms), *(f"{v + 0.1:.5f}" for v in base), "", ""]
                )
            )
    path.write_text("\n".join(lines) + "\n")


def write_run(
    folder: Path,
    *,
    dim: int = 3,
    events: int = 8,
    voxels: int = 200,
    heads: Sequence[str] = ("semantic", "particles", "gaps"),
    file: str = "val_flat.h5",
    truth: bool = True,
    metrics: dict[str, Any] | None = None,
) -> SyntheticRun:
    """All files of a run; `metrics` replaces the invented ones."""
    rng = np.random.default_rng(20260102)
    folder.mkdir(parents=True, exist_ok=True)
    run = SyntheticRun(folder / "metrics.json", folder / "predictions.h5", folder / "training.csv")
    with PredictionWriter(run.predictions, image_size=(IMAGE_SIZE,) * dim, classes=CLASSES, attributes={}) as writer:
        for entry in range(events):
            size = 0 if entry == 1 else int(voxels * rng.uniform(0.7, 1.3))
            writer.write(make_prediction(rng, entry, file=file, dim=dim, voxels=size, heads=heads, truth=truth))
        empty = make_prediction(rng, events, file=file, dim=dim, voxels=0, heads=(), truth=False)
        writer.write(Prediction(empty.key, empty.coords, empty.energy, status="coords outside the image"))
    found = make_metrics(rng, events + 1, heads) if metrics is None else metrics
    run.metrics.write_text(json.dumps(found))
    write_training_log(run.training_log, rng)
    return run

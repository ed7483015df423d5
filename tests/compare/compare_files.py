"""Predictions files of made-up events for the tests of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionWriter
from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.yaml_config import dump_config

FIVE = SemanticConfig().classes
SIDE = 64


def configuration(**decisions: object) -> str:
    """Resolved configuration of a chain with one semantic head, as far as the comparison reads it."""
    head = {"kind": "semantic", "decisions": {"min_voxels": 3, **decisions}}
    model = ModelConfig.model_validate({"dim": 2, "heads": {"semantic": head}})
    return "model:\n" + "".join(f"  {row}\n" for row in dump_config(model).splitlines())


def prediction(
    coords: np.ndarray,
    truth: np.ndarray,
    instance: np.ndarray,
    label: np.ndarray,
    key: EventKey,
    *,
    labelled: bool = True,
) -> Prediction:
    """An event whose scores are 0.8 for the predicted class; label -1 is a dropped voxel."""
    probability = np.where(np.arange(5) == label[:, None], 0.8, 0.05).astype(np.float32)
    probability[label < 0] = np.nan
    columns = {"semantic/label": label.astype(np.int8), "semantic/probability": probability}
    labels = {"semantic": truth.astype(np.int8), "instance": instance.astype(np.int32)}
    energy = np.ones(len(coords), dtype=np.float32)
    return Prediction(key, coords.astype(np.int32), energy, labels if labelled else {}, columns)


def random_events(
    seed: int, number: int, *, wrong: float = 0.1, lost: float = 0.0, file: str = "y.h5", labelled: bool = True
) -> list[Prediction]:
    """Lines of one class each; the events are those of `number` alone, the mistakes and losses those of `seed`."""
    events = []
    for entry in range(number):
        rng, mistakes = np.random.default_rng(entry), np.random.default_rng([seed, entry])
        length = rng.integers(4, 40, 6)
        coords = np.concatenate([np.stack([np.arange(n), np.full(n, 3 * k)], 1) for k, n in enumerate(length)])
        truth = np.repeat(rng.integers(0, 5, 6), length)
        instance = np.repeat(np.arange(6), length)
        flip = mistakes.random(len(truth)) < wrong
        label = np.where(flip, mistakes.integers(0, 5, len(truth)), truth)
        kept = mistakes.random(len(truth)) >= lost
        rows = np.flatnonzero(kept)
        events.append(
            prediction(coords[rows], truth[rows], instance[rows], label[rows], EventKey(file, entry), labelled=labelled)
        )
    return events


def write(path: Path, events: Sequence[Prediction], config: str | None = None, side: int = SIDE) -> Path:
    """A predictions file."""
    text = configuration() if config is None else config
    with PredictionWriter(path, image_size=(side, side), classes=FIVE, attributes={}, config_yaml=text) as writer:
        for event in events:
            writer.write(event)
    return path

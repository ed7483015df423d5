"""Metrics of a semantic head, event by event."""

from __future__ import annotations

from typing import Any

import numpy as np

from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import Evaluator
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.metrics.segmentation import confusion_matrix, segmentation_scores, track_shower_confusion

__all__ = ["SemanticEvaluator"]


class SemanticEvaluator(Evaluator):
    """Confusion matrix over all labelled voxels, and the accuracy of each event."""

    def __init__(self, classes: tuple[str, ...], name: str, truth_classes: tuple[str, ...]) -> None:
        self.classes = classes
        self.name = name
        self.truth_classes = truth_classes
        size = len(classes)
        self.confusion = np.zeros((size, size + 1), dtype=np.int64)
        self.event_accuracy: list[float | None] = []

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        if "semantic" not in prediction.truth:
            return
        groups = {name: (name,) for name in self.classes}
        truth = regroup(prediction.truth["semantic"].astype(np.int64), self.truth_classes, groups)
        label = prediction.columns[f"{self.name}/label"].astype(np.int64)
        confusion = confusion_matrix(truth, label, len(self.classes))
        self.confusion += confusion
        total = int(confusion.sum())
        self.event_accuracy.append(int(np.trace(confusion)) / total if total else None)

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        result: dict[str, Any] = {
            "kind": "semantic",
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            **segmentation_scores(self.confusion, self.classes),
            "event_accuracy": self.event_accuracy,
        }
        two = track_shower_confusion(self.confusion, self.classes)
        if two is not None:
            result["track_shower"] = {
                "classes": ["track", "shower"],
                "confusion": two.tolist(),
                **segmentation_scores(two, ("track", "shower")),
            }
        return result

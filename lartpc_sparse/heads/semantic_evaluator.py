"""Metrics of a semantic head, event by event."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from jaxtyping import Int

from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import Evaluator
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.heads.decisions import DecisionConfig, DecisionScores
from lartpc_sparse.heads.semantic_curves import SemanticCurves
from lartpc_sparse.heads.semantic_evaluation import SemanticEvaluationConfig
from lartpc_sparse.metrics.event_bootstrap import bootstrap_intervals
from lartpc_sparse.metrics.segmentation import confusion_matrix, segmentation_scores, track_shower_confusion

__all__ = ["SemanticEvaluator"]

logger = logging.getLogger("lartpc_sparse")

_TWO = ("track", "shower")


class SemanticEvaluator(Evaluator):
    """Scores with intervals, curves and calibration of a semantic head.

    Of every event only the confusion matrix and the file are kept, so that 10^5 events need about 20 MB.

    Args:
        classes: of the head.
        name: of the head.
        truth_classes: names of the values of the semantic truth.
        config: what is measured.
        decisions: decisions that the head takes, measured too.
    """

    def __init__(
        self,
        classes: tuple[str, ...],
        name: str,
        truth_classes: tuple[str, ...],
        config: SemanticEvaluationConfig | None = None,
        decisions: DecisionConfig | None = None,
    ) -> None:
        self.classes = classes
        self.name = name
        self.truth_classes = truth_classes
        self.config = config or SemanticEvaluationConfig()
        self._decisions = None if decisions is None else DecisionScores(decisions, name, classes)
        self._curves: SemanticCurves | None = None  # needs the number of axes, which the first event tells
        self._confusions: list[Int[np.ndarray, "K K1"]] = []
        self._members: dict[str, list[bool]] = {subset: [] for subset in self.config.subsets}

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        if "semantic" not in prediction.truth:
            return
        groups = {name: (name,) for name in self.classes}
        truth = regroup(prediction.truth["semantic"].astype(np.int64), self.truth_classes, groups)
        label = prediction.columns[f"{self.name}/label"].astype(np.int64)
        if self.config.dropped == "left_out":
            truth = np.where(label >= 0, truth, -1)
        self._confusions.append(confusion_matrix(truth, label, len(self.classes)).astype(np.int32))
        for subset, pattern in self.config.subsets.items():
            self._members[subset].append(_matches(prediction.key.file, pattern))
        if self._decisions is not None:
            self._decisions.update(prediction, truth)
        if self._curves is None:
            self._curves = SemanticCurves(self.classes, self.config, prediction.coords.shape[1])
        self._curves.update(prediction, truth, label, prediction.columns.get(f"{self.name}/probability"))

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        size = len(self.classes)
        confusions = np.stack(self._confusions) if self._confusions else np.zeros((0, size, size + 1), dtype=np.int32)
        return {
            "kind": "semantic",
            "classes": list(self.classes),
            **self._scores(confusions),
            "event_accuracy": [_accuracy(confusion) for confusion in confusions],
            "subsets": {subset: self._subset(confusions, subset) for subset in self.config.subsets},
            **({} if self._decisions is None else {"decisions": self._decisions.result()}),
            **({} if self._curves is None else self._curves.result()),
        }

    def _scores(self, confusions: Int[np.ndarray, "E K K1"]) -> dict[str, Any]:
        total = confusions.sum(axis=0, dtype=np.int64)
        scores = {
            "confusion": total.tolist(),
            **segmentation_scores(total, self.classes),
            "intervals": bootstrap_intervals(confusions, self.classes, self.config.bootstrap, self.config.seed),
        }
        two = track_shower_confusion(total, self.classes)
        if two is not None:
            scores["track_shower"] = {
                "classes": list(_TWO),
                "confusion": two.tolist(),
                **segmentation_scores(two, _TWO),
            }
        return scores

    def _subset(self, confusions: Int[np.ndarray, "E K K1"], subset: str) -> dict[str, Any]:
        members = np.array(self._members[subset], dtype=np.bool_)
        if not members.any():
            pattern = self.config.subsets[subset]
            logger.warning("no evaluated event has a file that fits %r: the subset %s is empty", pattern, subset)
        return {"events": int(members.sum()), **self._scores(confusions[members])}


def _matches(file: str, pattern: str) -> bool:
    """Whether the pattern fits the whole path of a file, or its name."""
    return fnmatchcase(file, pattern) or fnmatchcase(file.rpartition("/")[2], pattern)


def _accuracy(confusion: Int[np.ndarray, "K K1"]) -> float | None:
    total = int(confusion.sum())
    return int(np.trace(confusion)) / total if total else None

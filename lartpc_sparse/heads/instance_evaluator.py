"""Metrics of the heads that find particle instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.cluster import connected_components, dbscan
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import DECODE_TABLE, Evaluator
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.heads.instance_comparison import compare_methods
from lartpc_sparse.heads.instance_evaluation import InstanceEvaluationConfig
from lartpc_sparse.heads.instance_scores import InstanceScores, TrueGroup
from lartpc_sparse.metrics.touching_angles import smallest_touching_angles

__all__ = ["InstanceEvaluator"]

NETWORK = "network"
_COLUMNS = {"predicted": "cluster", "true": "cluster_true_semantics"}
_DEFINITIONS = {
    "ari": "adjusted Rand index of an event and class; for particles: that of the particle's event and class",
    "purity": "event: mean over predicted clusters of the largest share that one true cluster has of it; "
    "particle: share of its match that is the particle's",
    "efficiency": "event: mean over true clusters of the largest share that one predicted cluster has of it; "
    "particle: share of the particle that its match has",
    "sbd": "symmetric best Dice (arXiv:1708.02551)",
    "dice": "2 |t n p| / (|t| + |p|) of a true cluster t and its match p, the predicted cluster where it is highest",
    "jaccard": "|t n p| / |t u p| of a true cluster and its match",
    "share": "true clusters with a score above the cut, of all true clusters of the class in all events; voxels "
    "without a predicted cluster are clusters of their own",
    "seconds": "time of the decoding of a batch, shared out over its events by their voxels and over the decodings "
    "with predicted and with true semantics",
}


class InstanceEvaluator(Evaluator):
    """Clustering metrics with true and with predicted semantics, beside connected components and DBSCAN.

    Args:
        kind: of the head.
        classes: classes that are clustered, each with the semantic classes it is made of.
        name: of the head.
        truth_classes: names of the values of the semantic truth.
        config: what is measured.
    """

    def __init__(
        self,
        kind: str,
        classes: Mapping[str, tuple[str, ...]],
        name: str,
        truth_classes: tuple[str, ...],
        config: InstanceEvaluationConfig | None = None,
    ) -> None:
        self.kind = kind
        self.classes = classes
        self.name = name
        self.truth_classes = truth_classes
        self.config = config or InstanceEvaluationConfig()
        self._semantic: tuple[str, tuple[str, ...]] | None = None
        self._scores: dict[tuple[str, str], InstanceScores] = {}
        self._seconds: list[float] = []

    def use_semantics(self, name: str, classes: tuple[str, ...]) -> None:
        """See `Evaluator.use_semantics`."""
        self._semantic = name, classes

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        found = {key: f"{self.name}/{column}" for key, column in _COLUMNS.items()}
        found = {key: column for key, column in found.items() if column in prediction.columns}
        seconds = prediction.tables.get(DECODE_TABLE, {}).get(self.name)
        if seconds is not None and found:
            self._seconds.append(float(seconds.sum()) / len(found))
        if not {"semantic", "instance"} <= set(prediction.truth):
            return
        semantic = regroup(prediction.truth["semantic"].astype(np.int64), self.truth_classes, self.classes)
        groups = self._groups(prediction, semantic)
        labels = {"true": semantic}
        if self._semantic is not None and "predicted" in found:
            name, classes = self._semantic
            labels["predicted"] = regroup(prediction.columns[f"{name}/label"].astype(np.int64), classes, self.classes)
        clusters = {
            (source, method): own
            for source, label in labels.items()
            for method, own in self._baselines(prediction, label).items()
        }
        for source, column in found.items():
            clusters[source, NETWORK] = prediction.columns[column].astype(np.int64)
        for key, own in clusters.items():
            if key not in self._scores:
                self._scores[key] = InstanceScores(list(self.classes), self.config)
            self._scores[key].update(groups, own)

    def _groups(self, prediction: Prediction, semantic: Int64[np.ndarray, " N"]) -> list[TrueGroup]:
        instance = prediction.truth["instance"].astype(np.int64)
        groups = []
        for number, name in enumerate(self.classes):
            rows = np.flatnonzero((semantic == number) & (instance >= 0))
            if not len(rows):
                continue
            _, size = np.unique(instance[rows], return_counts=True)
            if name in self.config.angle_classes:
                angle = smallest_touching_angles(prediction.coords[rows], instance[rows], self.config.angle_radius)
            else:
                angle = np.full(len(size), np.nan)
            quantities = {"multiplicity": np.full(len(size), float(len(size))), "size": size.astype(float)}
            groups.append(TrueGroup(number, rows, instance[rows], {**quantities, "angle": angle}))
        return groups

    def _baselines(self, prediction: Prediction, label: Int64[np.ndarray, " N"]) -> dict[str, np.ndarray]:
        found = {"connected_components": connected_components(prediction.coords, label)}
        if self.config.dbscan is not None:
            options = self.config.dbscan
            found["dbscan"] = dbscan(prediction.coords, options.eps, options.min_samples, label)
        return found

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        scores = {key: own for key, own in self._scores.items() if any(own.events)}
        summaries = {key: own.summary() for key, own in scores.items()}
        methods = ["connected_components"] if self.config.dbscan is None else ["connected_components", "dbscan"]
        return {
            "kind": self.kind,
            "classes": list(self.classes),
            "semantics": {source: own for (source, method), own in summaries.items() if method == NETWORK},
            "mean_ari": {
                (source if method == NETWORK else method): float(np.mean([one.ari for e in own.events for one in e]))
                for (source, method), own in scores.items()
                if method == NETWORK or source == "true"
            },
            "baselines": {method: summaries.get(("true", method), {}) for method in methods},
            "baselines_predicted_semantics": {
                method: summaries["predicted", method] for method in methods if ("predicted", method) in summaries
            },
            "definitions": _DEFINITIONS,
            "cut": self.config.cut,
            "comparison": compare_methods(list(self.classes), scores, self.config),
            "particles": _by_semantics({key: own.shares() for key, own in scores.items()}),
            "curves": _by_semantics({key: own.curves() for key, own in scores.items()}),
            "decode_seconds": _distribution(np.array(self._seconds)),
        }


def _by_semantics(values: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Values by semantics and method as nested mappings."""
    nested: dict[str, dict[str, Any]] = {}
    for (source, method), value in values.items():
        nested.setdefault(source, {})[method] = value
    return nested


def _distribution(seconds: np.ndarray) -> dict[str, Any] | None:
    if not len(seconds):
        return None
    quantiles = {str(q): float(np.quantile(seconds, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)}
    return {"events": len(seconds), "mean": float(seconds.mean()), "max": float(seconds.max()), "quantiles": quantiles}

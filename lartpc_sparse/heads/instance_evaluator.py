"""Metrics of the heads that find particle instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lartpc_sparse.cluster import connected_components
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import Evaluator
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.metrics.clustering import ClusteringScores, clustering_scores, summarise_clustering

__all__ = ["InstanceEvaluator"]


class InstanceEvaluator(Evaluator):
    """Clustering metrics per event and class, with true and with predicted semantics, beside connected components.

    Args:
        kind: of the head.
        classes: classes that are clustered, each with the semantic classes it is made of.
        name: of the head.
        truth_classes: names of the values of the semantic truth.
    """

    def __init__(
        self, kind: str, classes: Mapping[str, tuple[str, ...]], name: str, truth_classes: tuple[str, ...]
    ) -> None:
        self.kind = kind
        self.classes = classes
        self.name = name
        self.truth_classes = truth_classes
        self.scores: dict[str, dict[str, list[ClusteringScores]]] = {}

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        if not {"semantic", "instance"} <= set(prediction.truth):
            return
        semantic = regroup(prediction.truth["semantic"].astype(np.int64), self.truth_classes, self.classes)
        instance = prediction.truth["instance"].astype(np.int64)
        clusters = {"connected_components": connected_components(prediction.coords, semantic)}
        for source, column in (("predicted", "cluster"), ("true", "cluster_true_semantics")):
            if f"{self.name}/{column}" in prediction.columns:
                clusters[source] = prediction.columns[f"{self.name}/{column}"].astype(np.int64)
        for number, name in enumerate(self.classes):
            rows = (semantic == number) & (instance >= 0)
            for source, found in clusters.items():
                scores = clustering_scores(instance[rows], found[rows])
                if scores is not None:
                    self.scores.setdefault(source, {}).setdefault(name, []).append(scores)

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        summary = {
            source: {name: summarise_clustering(scores) for name, scores in by_class.items()}
            for source, by_class in self.scores.items()
        }
        baselines = {"connected_components": summary.pop("connected_components", {})}
        return {
            "kind": self.kind,
            "classes": list(self.classes),
            "semantics": summary,
            "mean_ari": {
                source: float(np.mean([score.ari for scores in by_class.values() for score in scores]))
                for source, by_class in self.scores.items()
            },
            "baselines": baselines,
        }

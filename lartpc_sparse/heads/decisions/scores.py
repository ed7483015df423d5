"""Decisions against the truth: voxels, clusters, events, each with its curve over the cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64

from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.heads.decisions.config import DecisionConfig
from lartpc_sparse.heads.decisions.decide import NONE, SHOWER, TRACK, EventDecision
from lartpc_sparse.metrics.proportions import proportion
from lartpc_sparse.metrics.roc import count_at_cuts, fraction_cuts, roc, score_cuts
from lartpc_sparse.metrics.segmentation import confusion_matrix, segmentation_scores

__all__ = ["DecisionScores", "binary_scores", "true_decisions"]

_MAJORITY = 0.5


def true_decisions(
    truth: Int64[np.ndarray, " M"], shower: Sequence[int], track: Sequence[int]
) -> Int8[np.ndarray, " M"]:
    """SHOWER, TRACK or NONE for labels in a head's classes, -1 not labelled."""
    members = {SHOWER: shower, TRACK: track}
    result = np.full(len(truth), NONE, dtype=np.int8)
    for value, numbers in members.items():
        result[np.isin(truth, list(numbers))] = value
    return result


def binary_scores(decided: Bool[np.ndarray, " N"], truth: Bool[np.ndarray, " N"]) -> dict[str, Any]:
    """Efficiency, purity, mistag rate and accuracy of a yes/no decision on N items, with binomial 68 % intervals.

    efficiency = yes and true / true; purity = yes and true / yes; mistag = yes and false / false.
    """
    right = int((decided & truth).sum())
    return {
        "n": len(decided),
        "efficiency": proportion(right, int(truth.sum())),
        "purity": proportion(right, int(decided.sum())),
        "mistag": proportion(int((decided & ~truth).sum()), int((~truth).sum())),
        "accuracy": proportion(int((decided == truth).sum()), len(decided)),
    }


class DecisionScores:
    """Collects events; the decisions are made anew from the stored scores, so that other cuts need no new prediction.

    Args:
        config: the cuts.
        name: of the semantic head.
        classes: of the head.
    """

    def __init__(self, config: DecisionConfig, name: str, classes: Sequence[str]) -> None:
        self.config = config
        self.name = name
        self.classes = tuple(classes)
        self.numbers = config.class_numbers(classes)
        self._score_cuts = score_cuts(config.voxel_cut)
        self._voxel_counts = np.zeros((2, len(self._score_cuts) + 1), dtype=np.int64)
        self._confusion = np.zeros((2, 3), dtype=np.int64)
        self._clusters: list[Float64[np.ndarray, "K 4"]] = []
        self._events: list[tuple[int, int, float]] = []
        self._without_truth = 0

    def update(self, prediction: Prediction, truth: Int64[np.ndarray, " M"]) -> None:
        """Take one event into account.

        Args:
            prediction: with the column `<name>/probability`.
            truth: true class of each voxel in the numbers of the head's classes, -1 not labelled.
        """
        decision = self.config.decide(prediction, prediction.columns[f"{self.name}/probability"], self.classes)
        two = true_decisions(truth, self.numbers.shower, self.numbers.track)
        self._confusion += confusion_matrix(two, decision.voxels, 2)
        compared = (two != NONE) & (decision.voxels != NONE)
        self._voxel_counts += count_at_cuts(decision.p_shower[compared], two[compared] == SHOWER, self._score_cuts)
        self._clusters.append(self._cluster_rows(decision, two, truth))
        electron = np.where(np.isin(truth, self.numbers.electron), SHOWER, np.where(two == NONE, NONE, TRACK))
        seen = np.where(decision.voxels == NONE, NONE, electron).astype(np.int8)
        true_event = self.config.decide_truth(prediction, seen)
        if true_event in (None, NONE):
            self._without_truth += 1
        else:
            self._events.append((decision.event, int(true_event or 0), decision.clusters.largest_fraction))

    def _cluster_rows(
        self, decision: EventDecision, two: Int8[np.ndarray, " M"], truth: Int64[np.ndarray, " M"]
    ) -> Float64[np.ndarray, "K 4"]:
        """Of considered clusters: f_s, shower-like, true share of shower (NaN unknown), most frequent true class."""
        table = decision.clusters
        labelled = (decision.cluster >= 0) & (two != NONE)
        row, classes = decision.cluster[labelled], len(self.classes)
        by_class = np.bincount(row * classes + truth[labelled], minlength=len(table) * classes)
        by_class = by_class.reshape(len(table), classes)
        total = by_class.sum(axis=1)
        share = np.full(len(table), np.nan)
        share[total > 0] = by_class[:, list(self.numbers.shower)].sum(axis=1)[total > 0] / total[total > 0]
        most = by_class.argmax(axis=1)
        columns = np.stack([table.shower_fraction, table.shower_like, share, most], axis=1)
        return np.asarray(columns[table.considered])

    def result(self) -> dict[str, Any]:
        """The metrics as JSON-ready values; undefined ones are None."""
        names = ("track", "shower")
        return {
            "voxel_cut": self.config.voxel_cut,
            "cluster_fraction": self.config.cluster_fraction,
            "clusters": self.config.clusters.kind,
            "min_voxels": self.config.min_voxels,
            "max_clusters": self.config.max_clusters,
            "shower_classes": [self.classes[number] for number in self.numbers.shower],
            "track_classes": [self.classes[number] for number in self.numbers.track],
            "electron_classes": [self.classes[number] for number in self.numbers.electron],
            "voxels": {
                "classes": list(names),
                "confusion": self._confusion.tolist(),
                **segmentation_scores(self._confusion, names),
                "roc": roc(self._voxel_counts, self._score_cuts),
            },
            "cluster_decision": self._cluster_result(),
            "event_decision": self._event_result(),
        }

    def _cluster_result(self) -> dict[str, Any]:
        rows = np.concatenate([np.empty((0, 4)), *self._clusters])
        known = rows[~np.isnan(rows[:, 2])]
        like = known[:, 1] > 0
        majority = known[:, 2] >= _MAJORITY
        cuts = fraction_cuts(self.config.cluster_fraction)
        return {
            "considered": len(rows),
            "without_truth": len(rows) - len(known),
            "majority": binary_scores(like, majority),
            "same_cut": binary_scores(like, known[:, 2] >= self.config.cluster_fraction),
            "shower_like_by_class": {
                name: proportion(int(like[known[:, 3] == number].sum()), int((known[:, 3] == number).sum()))
                for number, name in enumerate(self.classes)
            },
            "roc": roc(count_at_cuts(known[:, 0], majority, cuts), cuts),
        }

    def _event_result(self) -> dict[str, Any]:
        names = (self.config.track_event, self.config.shower_event)
        rows = np.array(self._events, dtype=np.float64).reshape(-1, 3)
        decided, truth = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        made = decided != NONE
        cuts = fraction_cuts(self.config.cluster_fraction)
        return {
            "names": list(names),
            "confusion": confusion_matrix(truth, decided, 2).tolist(),
            "without_truth": self._without_truth,
            "without_decision": int((~made).sum()),
            **binary_scores(decided == SHOWER, truth == SHOWER),
            "accuracy": proportion(int((decided == truth).sum()), len(rows)),  # no decision is a wrong one
            "roc": roc(count_at_cuts(rows[made, 2], truth[made] == SHOWER, cuts), cuts),
        }

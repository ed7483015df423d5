"""What is counted in one event of two samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from jaxtyping import Int8, Int64

from lartpc_sparse.compare.matching import common_voxels, matched_clusters
from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.heads.decisions import DecisionConfig, EventDecision
from lartpc_sparse.heads.decisions.decide import NONE, SHOWER, TRACK
from lartpc_sparse.heads.decisions.scores import true_decisions

__all__ = ["QUANTITIES", "PairCounts", "Side", "count_pair", "make_side"]


@dataclass(frozen=True)
class Side:
    """One event of one sample, decided on.

    Attributes:
        prediction: the event.
        label: predicted class of each voxel, -1 none.
        decision: track or shower, clusters, event.
        truth: true class in the numbers of the head's classes, -1 not labelled or no truth.
        two_truth: SHOWER, TRACK or NONE.
        instance: true instance of each voxel, -1 none; None without truth.
    """

    prediction: Prediction
    label: Int64[np.ndarray, " M"]
    decision: EventDecision
    truth: Int64[np.ndarray, " M"]
    two_truth: Int8[np.ndarray, " M"]
    instance: Int64[np.ndarray, " M"] | None


@dataclass(frozen=True)
class PairCounts:
    """Counts of one event; `_n` of the nominal sample, `_v` of the variation.

    Voxels with a predicted class: `voxels`, `common` to both samples, `changed` class, `decided` track or shower in
    both, `changed_two`. Labelled ones: `labelled`, `right`, and with two classes `track`, `track_right`, `shower`,
    `shower_right`. Clusters that have a say in the event: `clusters`, `shower_clusters`; `matched` of the nominal
    ones, of which `to_shower` and `to_track` are decided otherwise. Events decided on in both samples: `events`,
    `event_to_shower`, `event_to_track`.
    """

    voxels_n: int
    voxels_v: int
    common: int
    changed: int
    decided: int
    changed_two: int
    labelled_n: int
    labelled_v: int
    right_n: int
    right_v: int
    track_n: int
    track_v: int
    track_right_n: int
    track_right_v: int
    shower_n: int
    shower_v: int
    shower_right_n: int
    shower_right_v: int
    clusters_n: int
    clusters_v: int
    shower_clusters_n: int
    shower_clusters_v: int
    matched: int
    to_shower: int
    to_track: int
    events: int
    event_to_shower: int
    event_to_track: int

    def row(self) -> Int64[np.ndarray, " Q"]:
        """The counts in the order of `QUANTITIES`."""
        return np.array(astuple(self), dtype=np.int64)


QUANTITIES: tuple[str, ...] = tuple(field.name for field in fields(PairCounts))


def make_side(
    prediction: Prediction,
    head: str,
    classes: tuple[str, ...],
    truth_classes: tuple[str, ...],
    config: DecisionConfig,
) -> Side:
    """One event of one sample.

    Args:
        prediction: with the columns `<head>/label` and `<head>/probability`.
        head: name of the semantic head.
        classes: of the head.
        truth_classes: names of the values of the semantic truth.
        config: cuts of the decisions.

    Raises:
        UserError: the event lacks what the clusters are made of, or the classes do not fit.
    """
    numbers = config.class_numbers(classes)
    truth = np.full(len(prediction), -1, dtype=np.int64)
    if "semantic" in prediction.truth:
        groups = {name: (name,) for name in classes}
        truth = regroup(prediction.truth["semantic"].astype(np.int64), truth_classes, groups)
    instance = prediction.truth.get("instance")
    return Side(
        prediction=prediction,
        label=prediction.columns[f"{head}/label"].astype(np.int64),
        decision=config.decide(prediction, prediction.columns[f"{head}/probability"], classes),
        truth=truth,
        two_truth=true_decisions(truth, numbers.shower, numbers.track),
        instance=None if instance is None else instance.astype(np.int64),
    )


def count_pair(nominal: Side, varied: Side, image_size: tuple[int, ...]) -> PairCounts:
    """Compare one event; voxels by their coordinate, clusters by true instance (without truth: by common voxels)."""
    rows_n, rows_v = common_voxels(nominal.prediction.coords, varied.prediction.coords, image_size)
    seen = (nominal.label[rows_n] >= 0) & (varied.label[rows_v] >= 0)
    rows_n, rows_v = rows_n[seen], rows_v[seen]
    two_n, two_v = nominal.decision.voxels[rows_n], varied.decision.voxels[rows_v]
    decided = (two_n != NONE) & (two_v != NONE)
    pairs = _matched(nominal, varied, rows_n, rows_v)
    like_n = nominal.decision.clusters.shower_like[pairs[:, 0]]
    like_v = varied.decision.clusters.shower_like[pairs[:, 1]]
    events = (nominal.decision.event, varied.decision.event)
    return PairCounts(
        voxels_n=int((nominal.label >= 0).sum()),
        voxels_v=int((varied.label >= 0).sum()),
        common=len(rows_n),
        changed=int((nominal.label[rows_n] != varied.label[rows_v]).sum()),
        decided=int(decided.sum()),
        changed_two=int((two_n != two_v)[decided].sum()),
        **_accuracy_counts(nominal, "n"),
        **_accuracy_counts(varied, "v"),
        **_cluster_counts(nominal, "n"),
        **_cluster_counts(varied, "v"),
        matched=len(pairs),
        to_shower=int((~like_n & like_v).sum()),
        to_track=int((like_n & ~like_v).sum()),
        events=int(NONE not in events),
        event_to_shower=int(events == (TRACK, SHOWER)),
        event_to_track=int(events == (SHOWER, TRACK)),
    )


def _accuracy_counts(side: Side, suffix: str) -> dict[str, int]:
    labelled = (side.truth >= 0) & (side.label >= 0)
    counts = {"labelled": int(labelled.sum()), "right": int((side.truth == side.label)[labelled].sum())}
    for name, value in (("track", TRACK), ("shower", SHOWER)):
        members = (side.two_truth == value) & (side.decision.voxels != NONE)
        counts[name] = int(members.sum())
        counts[f"{name}_right"] = int((side.decision.voxels[members] == value).sum())
    return {f"{name}_{suffix}": number for name, number in counts.items()}


def _cluster_counts(side: Side, suffix: str) -> dict[str, int]:
    table = side.decision.clusters
    shower = int((table.considered & table.shower_like).sum())
    return {f"clusters_{suffix}": int(table.considered.sum()), f"shower_clusters_{suffix}": shower}


def _matched(
    nominal: Side, varied: Side, rows_n: Int64[np.ndarray, " C"], rows_v: Int64[np.ndarray, " C"]
) -> Int64[np.ndarray, "P 2"]:
    """Rows of the considered nominal clusters and of their partners."""
    clusters_n, clusters_v = nominal.decision.cluster, varied.decision.cluster
    units: Sequence[Int64[np.ndarray, " _"]]
    if nominal.instance is not None and varied.instance is not None:
        units = (nominal.instance, varied.instance)
    else:
        there = np.full(len(clusters_v), -1, dtype=np.int64)
        there[rows_v] = clusters_n[rows_n]
        units = (clusters_n, there)
    pairs = matched_clusters(clusters_n, units[0], clusters_v, units[1])
    return np.asarray(pairs[nominal.decision.clusters.considered[pairs[:, 0]]])

"""Cuts and names of the decisions on the semantic output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Float64, Int8, Int64
from pydantic import Field

from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.heads.decisions.clusters import (
    ConnectedClustersConfig,
    DbscanClustersConfig,
    DecisionClustersConfig,
    InstanceClustersConfig,
    TruthClustersConfig,
)
from lartpc_sparse.heads.decisions.decide import (
    NONE,
    SHOWER,
    ClusterTable,
    EventDecision,
    decide_event,
    decide_voxels,
    make_cluster_table,
    shower_probability,
)
from lartpc_sparse.schema import Config, OneOf

__all__ = ["ClassNumbers", "DecisionConfig"]

_SHOWER = ("shower", "delta", "Michel")
_TRACK = ("HIP", "MIP", "track")


@dataclass(frozen=True)
class ClassNumbers:
    """Numbers of a head's classes that belong to the groups of the decisions."""

    shower: tuple[int, ...]
    track: tuple[int, ...]
    electron: tuple[int, ...]


class DecisionConfig(Config):
    """Decisions on the scores of a semantic head, in 2D and 3D (MicroBooNE SparseSSNet, arXiv:2012.08513, section V C).

    A voxel is shower if p_shower >= `voxel_cut`. A cluster is shower-like if the share f_s of its voxels that are
    shower is >= `cluster_fraction`. An event with a shower-like cluster is a `shower_event`, else a `track_event`.
    """

    shower_classes: tuple[str, ...] | None = Field(
        None, description="classes whose scores add up to p_shower; null: those of shower, delta, Michel that there are"
    )
    track_classes: tuple[str, ...] | None = Field(
        None,
        description="classes of tracks; null: those of HIP, MIP, track that there are. Voxels whose most probable "
        "class is in neither group are not decided on, and p_shower is normalised to the two groups",
    )
    electron_classes: tuple[str, ...] | None = Field(
        None,
        description="classes that make a true cluster electron-like in the true decision on the event; null: the class "
        "shower (deltas and Michels come from muons), or the shower classes where there is none of that name",
    )
    voxel_cut: float = Field(0.5, ge=0, le=1, description="least p_shower of a shower voxel, 0..1")
    cluster_fraction: float = Field(
        0.2, ge=0, le=1, description="least share of shower voxels in a shower-like cluster, 0..1"
    )
    clusters: Annotated[
        DecisionClustersConfig,
        OneOf(TruthClustersConfig, ConnectedClustersConfig, DbscanClustersConfig, InstanceClustersConfig),
    ] = ConnectedClustersConfig()
    min_voxels: int = Field(
        10, ge=1, description="smaller clusters have no say in the decision on the event, voxels; 1: the published rule"
    )
    max_clusters: int | None = Field(
        None, ge=1, description="only the so many largest clusters have a say in the decision on the event; null: all"
    )
    shower_event: str = Field("1e1p", min_length=1, description="name of events with a shower-like cluster")
    track_event: str = Field(
        "1mu1p", min_length=1, description="name of events with clusters, none of them shower-like"
    )

    def class_numbers(self, classes: Sequence[str]) -> ClassNumbers:
        """The groups as numbers of a head's classes.

        Raises:
            ValueError: a class that the head does not have, a class in both groups, or a group without any.
        """
        shower = _numbers("shower_classes", self.shower_classes, _SHOWER, classes)
        track = _numbers("track_classes", self.track_classes, _TRACK, classes)
        both = [classes[number] for number in shower if number in track]
        if both:
            raise ValueError(f"decisions: {', '.join(both)} cannot be both in shower_classes and in track_classes")
        named = ("shower",) if "shower" in classes else tuple(classes[number] for number in shower)
        return ClassNumbers(shower, track, _numbers("electron_classes", self.electron_classes, named, classes))

    def decide(
        self, prediction: Prediction, probability: Float[np.ndarray, "M K"], classes: Sequence[str]
    ) -> EventDecision:
        """All decisions on one event.

        Args:
            prediction: the event; its truth or other heads' columns are read by some kinds of clusters.
            probability: scores of the classes for each voxel, NaN where there are none.
            classes: their names.

        Raises:
            UserError: the event lacks what the clusters are made of.
        """
        numbers = self.class_numbers(classes)
        p_shower = shower_probability(probability, numbers.shower, numbers.track)
        voxels = decide_voxels(p_shower, self.voxel_cut)
        cluster = self.clusters.find(prediction, voxels != NONE)
        where, table = self._table(cluster, voxels, p_shower, prediction)
        return EventDecision(p_shower, voxels, where, table, decide_event(table))

    def decide_truth(self, prediction: Prediction, electron: Int8[np.ndarray, " M"]) -> int | None:
        """The true decision on an event: the same cuts on its true clusters and labels.

        Args:
            prediction: the event.
            electron: SHOWER for voxels of the electron classes, TRACK for other labelled ones, NONE where there is no
                label or the network saw nothing.

        Returns:
            The decision (NONE without a true cluster of `min_voxels`); None for events without true instances.
        """
        if "instance" not in prediction.truth:
            return None
        cluster = TruthClustersConfig().find(prediction, electron != NONE)
        _, table = self._table(cluster, electron, (electron == SHOWER).astype(np.float64), prediction)
        return decide_event(table)

    def check(self, classes: Sequence[str]) -> None:
        """Refuse groups that do not fit a head's classes; see `class_numbers`."""
        self.class_numbers(classes)

    def check_heads(self, kinds: Mapping[str, str]) -> None:
        """Refuse a model without the head that the clusters come from; see `DecisionClustersConfig.check_heads`."""
        self.clusters.check_heads(kinds)

    def _table(
        self,
        cluster: Int64[np.ndarray, " M"],
        voxels: Int8[np.ndarray, " M"],
        p_shower: Float64[np.ndarray, " M"],
        prediction: Prediction,
    ) -> tuple[Int64[np.ndarray, " M"], ClusterTable]:
        return make_cluster_table(
            cluster,
            voxels,
            p_shower,
            prediction.energy,
            cut=self.cluster_fraction,
            min_voxels=self.min_voxels,
            max_clusters=self.max_clusters,
        )


def _numbers(field: str, wanted: Sequence[str] | None, usual: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    names = [name for name in usual if name in classes] if wanted is None else list(wanted)
    unknown = [name for name in names if name not in classes]
    if unknown or not names:
        what = (
            f"name {', '.join(unknown)}, which the head does not have" if unknown else "find no class by its usual name"
        )
        raise ValueError(f"decisions.{field} {what}; its classes are {', '.join(classes)}")
    return tuple(list(classes).index(name) for name in dict.fromkeys(names))

"""Decisions as columns and tables of a prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lartpc_sparse.data.prediction import OK, Prediction
from lartpc_sparse.heads.decisions.config import DecisionConfig
from lartpc_sparse.heads.decisions.decide import EventDecision

__all__ = ["with_decisions"]


def with_decisions(
    prediction: Prediction, name: str, classes: Sequence[str], config: DecisionConfig | None
) -> Prediction:
    """The prediction with what is decided on the scores of the semantic head `name`.

    Columns `<name>/track_shower` (int8: 1 shower, 0 track, -1 none) and `<name>/decision_cluster` (int32: row of the
    event's cluster table, -1 none). Table `<name>.clusters`: one row a cluster, see `ClusterTable`. Table
    `<name>.event`: one row, `decision` (int8: 1 the shower event, 0 the track event, -1 none), `clusters` and
    `shower_clusters` (considered ones, int32), `largest_fraction` (float32, NaN without a considered cluster). A
    skipped event has no clusters and no decision.

    Raises:
        UserError: the event lacks what the clusters are made of.
    """
    if config is None:
        return prediction
    probability = prediction.columns[f"{name}/probability"]
    if prediction.status != OK:  # it was not in the network, whatever its columns say
        probability = np.full_like(probability, np.nan)
    decision = config.decide(prediction, probability, classes)
    return dataclasses.replace(
        prediction,
        columns={
            **prediction.columns,
            f"{name}/track_shower": decision.voxels,
            f"{name}/decision_cluster": decision.cluster.astype(np.int32),
        },
        tables={
            **prediction.tables,
            f"{name}.clusters": _cluster_columns(decision),
            f"{name}.event": _event_columns(decision),
        },
    )


def _cluster_columns(decision: EventDecision) -> dict[str, np.ndarray]:
    table = decision.clusters
    return {
        "id": table.id.astype(np.int32),
        "voxels": table.voxels.astype(np.int32),
        "shower_voxels": table.shower_voxels.astype(np.int32),
        "shower_fraction": table.shower_fraction.astype(np.float32),
        "mean_p_shower": table.mean_p_shower.astype(np.float32),
        "energy": table.energy.astype(np.float32),
        "shower_like": table.shower_like,
        "considered": table.considered,
    }


def _event_columns(decision: EventDecision) -> dict[str, np.ndarray]:
    table = decision.clusters
    return {
        "decision": np.array([decision.event], dtype=np.int8),
        "clusters": np.array([table.considered.sum()], dtype=np.int32),
        "shower_clusters": np.array([(table.considered & table.shower_like).sum()], dtype=np.int32),
        "largest_fraction": np.array([table.largest_fraction], dtype=np.float32),
    }

"""What a cluster is, when clusters are to be called shower-like or track-like: a choice by `kind`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64
from pydantic import Field

from lartpc_sparse.cluster import connected_components, dbscan
from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.schema import PartConfig, UserError

__all__ = [
    "ConnectedClustersConfig",
    "DbscanClustersConfig",
    "DecisionClustersConfig",
    "InstanceClustersConfig",
    "TruthClustersConfig",
]


_INSTANCE_HEADS = ("spatial_embedding", "voxel_graph")


class DecisionClustersConfig(PartConfig, ABC):
    """Base of the ways to cluster the voxels of an event for a decision."""

    @abstractmethod
    def find(self, prediction: Prediction, rows: Bool[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """Id of the cluster of each voxel, -1 for none; voxels outside of `rows` (no decision) get -1.

        Raises:
            UserError: the predictions lack what the clusters are made of.
        """

    def check_heads(self, kinds: Mapping[str, str]) -> None:
        """Refuse a model without the head that the clusters come from.

        Args:
            kinds: kind of each head of the model, by name.

        Raises:
            ValueError: there is no such head.
        """
        del kinds


class TruthClustersConfig(DecisionClustersConfig):
    """True instances; only where the events have a truth."""

    kind: Literal["truth"] = "truth"

    def find(self, prediction: Prediction, rows: Bool[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """See `DecisionClustersConfig.find`."""
        if "instance" not in prediction.truth:
            raise UserError(
                f"{prediction.key}: clusters of kind truth need true instances, but the event has no label "
                "'instance'; set `clusters` to {kind: connected} or {kind: dbscan}"
            )
        instance = prediction.truth["instance"].astype(np.int64)
        return np.where(rows & (instance >= 0), instance, -1)


class ConnectedClustersConfig(DecisionClustersConfig):
    """Voxels that touch by face, edge or corner."""

    kind: Literal["connected"] = "connected"

    def find(self, prediction: Prediction, rows: Bool[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """See `DecisionClustersConfig.find`."""
        found = np.full(len(prediction), -1, dtype=np.int64)
        found[rows] = connected_components(prediction.coords[rows])
        return found


class DbscanClustersConfig(DecisionClustersConfig):
    """DBSCAN on the positions of the voxels; what it calls noise is in no cluster."""

    kind: Literal["dbscan"] = "dbscan"
    eps: float = Field(5.0, gt=0, allow_inf_nan=False, description="neighbours lie within this distance, voxels")
    min_samples: int = Field(5, ge=1, description="neighbours of a core voxel, itself included")

    def find(self, prediction: Prediction, rows: Bool[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """See `DecisionClustersConfig.find`."""
        found = np.full(len(prediction), -1, dtype=np.int64)
        found[rows] = dbscan(prediction.coords[rows], self.eps, self.min_samples)
        return found


class InstanceClustersConfig(DecisionClustersConfig):
    """The instances that another head of the same network finds with predicted semantics."""

    kind: Literal["instances"] = "instances"
    head: str | None = Field(None, description="name of the head; null: the only one there is")

    def find(self, prediction: Prediction, rows: Bool[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
        """See `DecisionClustersConfig.find`."""
        heads = [name.split("/")[0] for name in prediction.columns if name.endswith("/cluster")]
        try:
            head = self._choose(heads)
        except ValueError as error:
            raise UserError(f"{prediction.key}: {error}") from error
        return np.where(rows, prediction.columns[f"{head}/cluster"].astype(np.int64), -1)

    def check_heads(self, kinds: Mapping[str, str]) -> None:
        """See `DecisionClustersConfig.check_heads`; parts of the user's own may be such heads, too."""
        self._choose(name for name, kind in kinds.items() if kind in _INSTANCE_HEADS or ":" in kind)

    def _choose(self, heads: Iterable[str]) -> str:
        known = list(heads)
        chosen = [name for name in known if self.head in (None, name)]
        if len(chosen) == 1:
            return chosen[0]
        wanted = f"one head of kind {' or '.join(_INSTANCE_HEADS)}" if self.head is None else f"the head {self.head!r}"
        raise ValueError(
            f"clusters of kind instances need {wanted}, but there "
            f"{'is none' if not known else 'are ' + ', '.join(known)}; name the head in `clusters.head`, "
            "or choose the kind connected or dbscan"
        )

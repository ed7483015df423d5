"""One class for all voxels of an instance: the voxels of a track vote whether it is HIP or MIP.

A network sees the surroundings of each voxel; what a particle is, its whole track says. The instances come from another
head of the same network, so that a track which crosses another one votes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.heads.decisions.clusters import (
    ConnectedClustersConfig,
    DbscanClustersConfig,
    DecisionClustersConfig,
    InstanceClustersConfig,
    TruthClustersConfig,
)
from lartpc_sparse.schema import Config, OneOf

__all__ = ["VoteConfig"]


class VoteConfig(Config):
    """Voxels of one cluster that have one of `classes` get the class of the highest sum of probabilities among them."""

    classes: tuple[str, ...] = Field(("HIP", "MIP"), min_length=2, description="classes that are voted between")
    clusters: Annotated[
        DecisionClustersConfig,
        OneOf(InstanceClustersConfig, ConnectedClustersConfig, DbscanClustersConfig, TruthClustersConfig),
    ] = Field(InstanceClustersConfig(), description="whose voxels vote together")

    def check(self, names: Sequence[str]) -> None:
        """Refuse classes that the head does not have, or twice.

        Raises:
            ValueError: names them.
        """
        unknown = [name for name in self.classes if name not in names]
        if unknown or len(set(self.classes)) < len(self.classes):
            raise ValueError(
                f"vote.classes (which weights may bring) are {', '.join(self.classes)}; they must be different ones of "
                f"{', '.join(names)}; or set vote: null"
            )

    def check_heads(self, kinds: Mapping[str, str]) -> None:
        """Refuse a model without the head that the clusters come from; see `HeadConfig.check_heads`.

        Raises:
            ValueError: it is not there.
        """
        try:
            self.clusters.check_heads(kinds)
        except ValueError as error:
            raise ValueError(f"vote (which weights may bring): {error}; or set vote: null") from error

    def apply(self, prediction: Prediction, name: str, names: Sequence[str]) -> Prediction:
        """The prediction with the column `label` voted on; `probability` stays that of each voxel.

        Args:
            prediction: of one event, all heads decoded.
            name: of the semantic head.
            names: its classes.

        Raises:
            UserError: the prediction lacks what the clusters are made of.
        """
        label = prediction.columns[f"{name}/label"]
        numbers = np.array([names.index(wanted) for wanted in self.classes])
        rows = np.isin(label, numbers)
        cluster = self.clusters.find(prediction, rows)
        voting = np.flatnonzero(rows & (cluster >= 0))
        _, group = np.unique(cluster[voting], return_inverse=True)
        probability = prediction.columns[f"{name}/probability"][voting][:, numbers].astype(np.float64)
        votes = np.stack([np.bincount(group, weights=column) for column in probability.T], axis=1)
        voted = label.copy()
        voted[voting] = numbers[votes.argmax(axis=1)][group] if len(voting) else label[voting]
        return replace(prediction, columns={**prediction.columns, f"{name}/label": voted})

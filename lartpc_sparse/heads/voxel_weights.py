"""Weights of the voxels in the semantic cross-entropy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32, Int64
from pydantic import Field, model_validator
from scipy.spatial import cKDTree

from lartpc_sparse.data.event import Event
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.schema import PartConfig

__all__ = [
    "ClusterVertexConfig",
    "NoWeightingConfig",
    "SemanticWeights",
    "WeightingConfig",
    "cluster_weights",
    "near_other_class",
]


def cluster_weights(
    semantic: Int64[np.ndarray, " N"], instance: Int64[np.ndarray, " N"], low: float, high: float
) -> Float32[np.ndarray, " N"]:
    """1 / (size of the voxel's truth cluster), limited to [low, high].

    A cluster is an instance within a class; labelled voxels without an instance form one cluster a class.
    """
    rows = np.stack([semantic, instance], axis=1)
    _, cluster, size = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return np.clip(1.0 / size[cluster.reshape(-1)], low, high).astype(np.float32)


def near_other_class(
    coords: Int32[np.ndarray, "N D"], semantic: Int64[np.ndarray, " N"], distance: float
) -> np.ndarray:
    """Whether a labelled voxel has a voxel of another labelled class within `distance` (Euclidean, voxels)."""
    near = np.zeros(len(coords), dtype=bool)
    labelled = np.flatnonzero(semantic >= 0)
    for number in np.unique(semantic[labelled]):
        own = labelled[semantic[labelled] == number]
        other = labelled[semantic[labelled] != number]
        if len(other):
            found, _ = cKDTree(coords[other]).query(coords[own], distance_upper_bound=distance + 1e-6)
            near[own] = np.isfinite(found)
    return near


class WeightingConfig(PartConfig, ABC):
    """Base of the weightings."""

    @abstractmethod
    def weights(
        self,
        coords: Int32[np.ndarray, "N D"],
        semantic: Int64[np.ndarray, " N"],
        instance: Int64[np.ndarray, " N"],
    ) -> Float32[np.ndarray, " N"]:
        """Weight of each voxel; unlabelled voxels (semantic -1) get 0."""


class ClusterVertexConfig(WeightingConfig):
    """Published weighting of SparseSSNet (arXiv:2012.08513, section IV): cluster weight + vertex weight."""

    kind: Literal["cluster_vertex"] = "cluster_vertex"
    cluster_min: float = Field(2e-4, gt=0, description="lower limit of the cluster weight")
    cluster_max: float = Field(2e-2, gt=0, description="upper limit of the cluster weight")
    vertex: float = Field(2e-2, ge=0, description="added near another class")
    vertex_distance: float = Field(3.0, gt=0, description="voxels")

    @model_validator(mode="after")
    def _ordered(self) -> ClusterVertexConfig:
        if self.cluster_min > self.cluster_max:
            raise ValueError(f"cluster_min {self.cluster_min} is above cluster_max {self.cluster_max}")
        return self

    def weights(
        self,
        coords: Int32[np.ndarray, "N D"],
        semantic: Int64[np.ndarray, " N"],
        instance: Int64[np.ndarray, " N"],
    ) -> Float32[np.ndarray, " N"]:
        """See `WeightingConfig.weights`."""
        weights = cluster_weights(semantic, instance, self.cluster_min, self.cluster_max)
        weights += self.vertex * near_other_class(coords, semantic, self.vertex_distance)
        return np.where(semantic >= 0, weights, 0).astype(np.float32)


class NoWeightingConfig(WeightingConfig):
    """Every labelled voxel counts the same."""

    kind: Literal["none"] = "none"

    def weights(
        self,
        coords: Int32[np.ndarray, "N D"],
        semantic: Int64[np.ndarray, " N"],
        instance: Int64[np.ndarray, " N"],
    ) -> Float32[np.ndarray, " N"]:
        """See `WeightingConfig.weights`."""
        return (semantic >= 0).astype(np.float32)


@dataclass(frozen=True)
class SemanticWeights:
    """Transform: adds the label column `semantic_weight` when the event has a semantic truth."""

    weighting: WeightingConfig
    groups: Mapping[str, tuple[str, ...]]

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with its weights; real data passes unchanged."""
        del rng  # weights are a function of the truth alone
        if "semantic" not in event.labels:
            return event
        semantic = regroup(event.labels["semantic"], event.classes, self.groups)
        instance = event.labels.get("instance", np.full(len(event), -1, dtype=np.int64))
        return event.with_labels(semantic_weight=self.weighting.weights(event.coords, semantic, instance))

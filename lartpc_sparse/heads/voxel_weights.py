"""Weights of the voxels in the semantic cross-entropy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from pydantic import Field, model_validator
from scipy.spatial import cKDTree
from torch import Tensor

from lartpc_sparse.data.event import Event
from lartpc_sparse.heads.class_groups import regroup
from lartpc_sparse.schema import PartConfig
from lartpc_sparse.sparse.native import neighbours as native
from lartpc_sparse.sparse.native.library import missing_reason

__all__ = [
    "ClusterVertexConfig",
    "InverseFrequencyConfig",
    "NoWeightingConfig",
    "PublicCodeConfig",
    "SemanticWeights",
    "TrueVoxels",
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
    if not len(semantic):
        return np.empty(0, dtype=np.float32)
    # One number for each pair: numpy sorts rows ten times slower.
    least, span = int(instance.min()), int(np.ptp(instance)) + 1
    _, cluster, size = np.unique(semantic * span + (instance - least), return_inverse=True, return_counts=True)
    return np.clip(1.0 / size[cluster], low, high).astype(np.float32)


def near_other_class(
    coords: Int32[np.ndarray, "N D"], semantic: Int64[np.ndarray, " N"], distance: float, *, box: bool = False
) -> Bool[np.ndarray, " N"]:
    """Whether a labelled voxel has a voxel of another labelled class within `distance`.

    Args:
        coords: voxels.
        semantic: class of each, -1 not labelled.
        distance: in voxels; Euclidean, or with `box` the longest of the differences along the axes.
        box: see `distance`.
    """
    if missing_reason() is None:
        return native.near_other_class(coords, semantic, distance, box=box)
    near = np.zeros(len(coords), dtype=np.bool_)
    labelled = np.flatnonzero(semantic >= 0)
    for number in np.unique(semantic[labelled]):
        own = labelled[semantic[labelled] == number]
        other = labelled[semantic[labelled] != number]
        if len(other):
            found, _ = cKDTree(coords[other]).query(
                coords[own], p=np.inf if box else 2, distance_upper_bound=distance + 1e-6
            )
            near[own] = np.isfinite(found)
    return near


@dataclass(frozen=True)
class TrueVoxels:
    """What the weights of N voxels follow from.

    Attributes:
        coords: voxel index.
        semantic: class, -1 not labelled.
        instance: particle, -1 none.
    """

    coords: Int32[np.ndarray, "N D"]
    semantic: Int64[np.ndarray, " N"]
    instance: Int64[np.ndarray, " N"]


class WeightingConfig(PartConfig, ABC):
    """Base of the weightings. The losses take weighted means, so the scale of the weights does not matter."""

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse settings that do not fit the classes of the head, with a ValueError; nothing to refuse here."""
        del classes

    def in_batch(
        self, weights: Float[Tensor, " N"], truth: Int64[Tensor, " N"], classes: tuple[str, ...]
    ) -> Float[Tensor, " N"]:
        """The weights of a whole batch, from those of its events; unchanged here."""
        del truth, classes
        return weights

    @abstractmethod
    def weights(self, truth: TrueVoxels) -> Float32[np.ndarray, " N"]:
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

    def weights(self, truth: TrueVoxels) -> Float32[np.ndarray, " N"]:
        """See `WeightingConfig.weights`."""
        weights = cluster_weights(truth.semantic, truth.instance, self.cluster_min, self.cluster_max)
        weights += self.vertex * near_other_class(truth.coords, truth.semantic, self.vertex_distance)
        return np.where(truth.semantic >= 0, weights, 0).astype(np.float32)


class PublicCodeConfig(WeightingConfig):
    """Weighting of SparseSSNet's public code: more near a voxel of another class, within a box instead of a ball."""

    kind: Literal["public_code"] = "public_code"
    near: float = Field(2.0, ge=0, description="weight of a voxel near another class")
    far: float = Field(0.5, ge=0, description="weight of the others")
    distance: float = Field(3.0, gt=0, description="largest difference along each axis, voxels")

    def weights(self, truth: TrueVoxels) -> Float32[np.ndarray, " N"]:
        """See `WeightingConfig.weights`."""
        near = near_other_class(truth.coords, truth.semantic, self.distance, box=True)
        weights = np.where(near, self.near, self.far)
        return np.where(truth.semantic >= 0, weights, 0).astype(np.float32)


class InverseFrequencyConfig(WeightingConfig):
    """Every class counts the same in sum: weight (1 / frequency of the class)^power."""

    kind: Literal["inverse_frequency"] = "inverse_frequency"
    power: float = Field(1.0, ge=0, le=1, description="1: classes count the same; 0: voxels do; 0.5: between")
    frequencies: dict[str, float] | None = Field(
        None, description="share of the voxels by class; null: that of each batch"
    )

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse frequencies that are not one above 0 for each class."""
        if self.frequencies is not None and set(self.frequencies) != set(classes):
            raise ValueError(
                f"frequencies must name the classes {', '.join(classes)}, got {', '.join(self.frequencies)}"
            )
        if self.frequencies is not None and min(self.frequencies.values()) <= 0:
            raise ValueError(f"frequencies must be above 0, got {self.frequencies}")

    def weights(self, truth: TrueVoxels) -> Float32[np.ndarray, " N"]:
        """1 for every labelled voxel; the batch decides the rest."""
        return (truth.semantic >= 0).astype(np.float32)

    def in_batch(
        self, weights: Float[Tensor, " N"], truth: Int64[Tensor, " N"], classes: tuple[str, ...]
    ) -> Float[Tensor, " N"]:
        """See `WeightingConfig.in_batch`."""
        if self.frequencies is None:
            number = torch.bincount(truth[truth >= 0], minlength=len(classes)).to(weights.dtype)
            frequency = number / number.sum().clamp(min=1)
        else:
            frequency = torch.tensor([self.frequencies[name] for name in classes]).to(weights)
        return weights * frequency.clamp(min=1e-12).pow(-self.power)[truth.clamp(min=0)]


class NoWeightingConfig(WeightingConfig):
    """Every labelled voxel counts the same."""

    kind: Literal["none"] = "none"

    def weights(self, truth: TrueVoxels) -> Float32[np.ndarray, " N"]:
        """See `WeightingConfig.weights`."""
        return (truth.semantic >= 0).astype(np.float32)


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
        return event.with_labels(semantic_weight=self.weighting.weights(TrueVoxels(event.coords, semantic, instance)))

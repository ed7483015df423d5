"""What the heads that find particle instances have in common: classes, refinements, particles, decoding, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Int32, Int64
from pydantic import Field, model_validator
from torch import Tensor

from lartpc_sparse.cluster import RefinementField
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.heads.base import Decoded, Evaluator, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.class_groups import TRACK_SHOWER_GROUPS, check_known, regroup
from lartpc_sparse.heads.instance_evaluation import InstanceEvaluationConfig
from lartpc_sparse.heads.instance_evaluator import InstanceEvaluator
from lartpc_sparse.heads.instance_semantics import semantic_sources
from lartpc_sparse.heads.particles import (
    GeometricParticlesConfig,
    ParticlesConfig,
    class_columns,
    with_particle_metrics,
    with_particles,
)
from lartpc_sparse.schema import OneOf

__all__ = ["InstanceHead", "InstanceHeadConfig"]

T = TypeVar("T", bound="InstanceHeadConfig")


class InstanceHeadConfig(HeadConfig, ABC):
    """Base of the configurations of heads that find instances, class by class."""

    decoding: ClassVar[frozenset[str]] = frozenset({"refine", "particles"})

    classes: dict[str, tuple[str, ...]] = Field(
        TRACK_SHOWER_GROUPS, description="classes that are clustered, each with the semantic classes it is made of"
    )
    refine: dict[str, tuple[RefinementField, ...]] = Field(
        {}, description="what is done with the clusters of a class in the end, in this order, by class"
    )
    particles: Annotated[ParticlesConfig, OneOf(GeometricParticlesConfig)] | None = Field(
        None, description="how clusters are made particles; null: there are none"
    )
    evaluate: InstanceEvaluationConfig = InstanceEvaluationConfig()

    @model_validator(mode="after")
    def _refined_classes_are_known(self: T) -> T:
        check_known("refine", self.refine, self.classes)
        return self

    def require_entries(self, option: str, entries: Mapping[str, object]) -> None:
        """Refuse an option that lacks an entry for one of the classes.

        Raises:
            ValueError: it does.
        """
        missing = [name for name in self.classes if name not in entries]
        if missing:
            raise ValueError(f"{option} has no entry for {', '.join(missing)}")

    def finish(self, name: str, prediction: Prediction) -> Prediction:
        """Adds the particles."""
        return with_particles(prediction, name, tuple(self.classes), self.particles)

    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> Evaluator:
        """See `HeadConfig.evaluator`."""
        clusters = InstanceEvaluator(self.kind, self.classes, name, truth_classes, self.evaluate)
        return with_particle_metrics(clusters, name, self.classes, truth_classes, self.particles)


class InstanceHead(Head, ABC):
    """Base of the heads that find instances."""

    config: InstanceHeadConfig

    @abstractmethod
    def clusters(
        self, output: Mapping[str, Tensor], batch: Batch, classes: Int64[np.ndarray, " N"]
    ) -> Int32[np.ndarray, " N"]:
        """Clusters of the voxels of a batch, unique within an event; -1 for none.

        Args:
            output: of the head.
            batch: its voxels.
            classes: number of the head's class of each voxel, -1 for none.
        """

    @torch.no_grad()
    def decode(self, output: Mapping[str, Tensor], batch: Batch, semantic: SemanticLabels | None) -> Decoded:
        """`cluster` with predicted semantics, `cluster_true_semantics` with true ones; -1 is no cluster.

        Raises:
            UserError: neither a semantic head nor true semantics say what class a voxel has.
        """
        columns: dict[str, np.ndarray] = {}
        for column, labels in semantic_sources(self.config.kind, batch, semantic).items():
            classes = regroup(labels.labels, labels.classes, self.config.classes)
            columns |= class_columns(column, classes, self.config.particles)
            columns[column] = self.clusters(output, batch, classes)
        return Decoded(columns=columns)

"""Semantic segmentation: a class for every voxel.

MicroBooNE SparseSSNet, arXiv:2012.08513: softmax over five classes, cross-entropy over the active voxels with
cluster and vertex weights. Other losses and weightings can be chosen, and losses can be added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.transforms import Transform
from lartpc_sparse.heads.base import Averages, Decoded, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.class_groups import regroup_tensor
from lartpc_sparse.heads.decisions import DecisionConfig, with_decisions
from lartpc_sparse.heads.semantic_evaluation import SemanticEvaluationConfig
from lartpc_sparse.heads.semantic_evaluator import SemanticEvaluator
from lartpc_sparse.heads.semantic_losses import (
    CrossEntropyConfig,
    DiceConfig,
    FocalConfig,
    LovaszSoftmaxConfig,
    ScoredVoxels,
    SemanticLossConfig,
)
from lartpc_sparse.heads.semantic_vote import VoteConfig
from lartpc_sparse.heads.voxel_weights import (
    ClusterVertexConfig,
    InverseFrequencyConfig,
    NoWeightingConfig,
    PublicCodeConfig,
    SemanticWeights,
    WeightingConfig,
)
from lartpc_sparse.schema import OneOf
from lartpc_sparse.sparse import SparseTensor

__all__ = ["SemanticConfig", "SemanticEvaluator", "SemanticHead"]


LossField = Annotated[SemanticLossConfig, OneOf(CrossEntropyConfig, FocalConfig, LovaszSoftmaxConfig, DiceConfig)]


class SemanticConfig(HeadConfig):
    """Configuration of `SemanticHead`."""

    averages: ClassVar[Averages] = "networks"
    decoding: ClassVar[frozenset[str]] = frozenset({"vote", "decisions"})

    kind: Literal["semantic"] = "semantic"
    classes: tuple[str, ...] = Field(
        ("HIP", "MIP", "shower", "delta", "Michel"),
        min_length=2,
        description="classes in output order; voxels of other classes count in no loss and no metric",
    )
    weighting: Annotated[
        WeightingConfig, OneOf(ClusterVertexConfig, PublicCodeConfig, InverseFrequencyConfig, NoWeightingConfig)
    ] = Field(ClusterVertexConfig(), description="how much each voxel counts in the losses that know voxel weights")
    losses: tuple[LossField, ...] = Field(
        (CrossEntropyConfig(),), min_length=1, description="terms of the loss, added up; each kind at most once"
    )
    evaluate: SemanticEvaluationConfig = SemanticEvaluationConfig()
    vote: VoteConfig | None = Field(
        None, description="one class for all voxels of a cluster, such as a track; null: every voxel has its own"
    )
    decisions: DecisionConfig | None = Field(
        None, description="track or shower, cluster and event decisions on the scores; null: none"
    )

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError(f"classes must differ, got {', '.join(classes)}")
        return classes

    @model_validator(mode="after")
    def _parts_fit(self) -> SemanticConfig:
        kinds = [loss.kind for loss in self.losses]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"losses must differ in kind, got {', '.join(kinds)}")
        self.weighting.check(self.classes)
        for loss in self.losses:
            loss.check(self.classes)
        if self.vote is not None:
            self.vote.check(self.classes)
        if self.decisions is not None:
            self.decisions.check(self.classes)
        return self

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The classes as groups of one."""
        return {name: (name,) for name in self.classes}

    @property
    def decodes_semantics(self) -> bool:
        """It does."""
        return True

    def targets(self) -> Transform | None:
        """Weights of the voxels."""
        return SemanticWeights(self.weighting, self.groups)

    def check_heads(self, kinds: Mapping[str, str]) -> None:
        """See `HeadConfig.check_heads`."""
        if self.vote is not None:
            self.vote.check_heads(kinds)
        if self.decisions is not None:
            self.decisions.check_heads(kinds)

    def finish(self, name: str, prediction: Prediction) -> Prediction:
        """Votes on the labels; adds the decisions, which are made of the probabilities."""
        if self.vote is not None:
            prediction = self.vote.apply(prediction, name, self.classes)
        return with_decisions(prediction, name, self.classes, self.decisions)

    def build(self, *, in_channels: int, dim: int) -> SemanticHead:
        """See `HeadConfig.build`."""
        del dim
        return SemanticHead(self, in_channels)

    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> SemanticEvaluator:
        """See `HeadConfig.evaluator`."""
        return SemanticEvaluator(self.classes, name, truth_classes, self.evaluate, self.decisions)


class SemanticHead(Head):
    """One linear layer to the logits of the classes."""

    def __init__(self, config: SemanticConfig, in_channels: int) -> None:
        super().__init__()
        self.config = config
        self.classify = nn.Linear(in_channels, len(config.classes))

    def forward(self, features: Mapping[str, SparseTensor], batch: Batch) -> dict[str, Tensor]:
        """`logits` (N, classes)."""
        del batch
        return {"logits": self.classify(features["features"].feats).float()}

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """One term for each of `losses`, by kind, its factor included."""
        classes = self.config.classes
        truth = regroup_tensor(batch.label("semantic"), batch.classes, self.config.groups)
        weight = self.config.weighting.in_batch(batch.label("semantic_weight") * (truth >= 0), truth, classes)
        voxels = ScoredVoxels(output["logits"], truth, weight, classes)
        return {loss.kind: loss.weight * loss.term(voxels) for loss in self.config.losses}

    def monitor(self, output: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """`accuracy` over the labelled voxels of the batch."""
        truth = regroup_tensor(batch.label("semantic"), batch.classes, self.config.groups)
        right = (output["logits"].argmax(1) == truth) & (truth >= 0)
        return {"accuracy": right.sum() / (truth >= 0).sum().clamp(min=1)}

    def average(self, outputs: Sequence[Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Logits of the mean probabilities."""
        if len(outputs) == 1:
            return outputs[0]
        return {"logits": torch.stack([torch.softmax(output["logits"], dim=1) for output in outputs]).mean(0).log()}

    def decode(self, output: Mapping[str, Tensor], batch: Batch, semantic: SemanticLabels | None) -> Decoded:
        """`probability` (N, classes) and `label` (N,), the most probable class."""
        del batch, semantic
        probability = torch.softmax(output["logits"], dim=1).cpu().numpy().astype(np.float32)
        label = probability.argmax(axis=1).astype(np.int64)
        return Decoded(
            columns={"probability": probability, "label": label.astype(np.int8)},
            semantic=SemanticLabels(label, self.config.classes),
        )

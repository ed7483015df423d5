"""Semantic segmentation: a class for every voxel.

MicroBooNE SparseSSNet, arXiv:2012.08513: softmax over five classes, cross-entropy over the active voxels with
cluster and vertex weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.transforms import Transform
from lartpc_sparse.heads.base import Decoded, Evaluator, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.class_groups import regroup, regroup_tensor
from lartpc_sparse.heads.voxel_weights import (
    ClusterVertexConfig,
    NoWeightingConfig,
    SemanticWeights,
    WeightingConfig,
)
from lartpc_sparse.metrics.segmentation import confusion_matrix, segmentation_scores, track_shower_confusion
from lartpc_sparse.schema import OneOf
from lartpc_sparse.sparse import SparseTensor

__all__ = ["SemanticConfig", "SemanticEvaluator", "SemanticHead"]


class SemanticConfig(HeadConfig):
    """Configuration of `SemanticHead`."""

    kind: Literal["semantic"] = "semantic"
    classes: tuple[str, ...] = Field(
        ("HIP", "MIP", "shower", "delta", "Michel"),
        min_length=2,
        description="classes in output order; voxels of other classes count in no loss and no metric",
    )
    weighting: Annotated[WeightingConfig, OneOf(ClusterVertexConfig, NoWeightingConfig)] = ClusterVertexConfig()

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(classes)) < len(classes):
            raise ValueError(f"classes must differ, got {', '.join(classes)}")
        return classes

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

    def build(self, *, in_channels: int, dim: int) -> SemanticHead:
        """See `HeadConfig.build`."""
        del dim
        return SemanticHead(self, in_channels)

    def evaluator(self, name: str, truth_classes: tuple[str, ...]) -> SemanticEvaluator:
        """See `HeadConfig.evaluator`."""
        return SemanticEvaluator(self, name, truth_classes)


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
        """Mean of w_i * cross-entropy_i with the weights normalised to mean 1 over the labelled voxels."""
        truth = regroup_tensor(batch.label("semantic"), batch.classes, self.config.groups)
        weight = batch.label("semantic_weight") * (truth >= 0)
        each = F.cross_entropy(output["logits"], truth.clamp(min=0), reduction="none")
        return {"cross_entropy": (weight * each).sum() / weight.sum().clamp(min=1e-12)}

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


class SemanticEvaluator(Evaluator):
    """Confusion matrix over all labelled voxels, and the accuracy of each event."""

    def __init__(self, config: SemanticConfig, name: str, truth_classes: tuple[str, ...]) -> None:
        self.config = config
        self.name = name
        self.truth_classes = truth_classes
        size = len(config.classes)
        self.confusion = np.zeros((size, size + 1), dtype=np.int64)
        self.event_accuracy: list[float | None] = []

    def update(self, prediction: Prediction) -> None:
        """See `Evaluator.update`."""
        if "semantic" not in prediction.truth:
            return
        truth = regroup(prediction.truth["semantic"].astype(np.int64), self.truth_classes, self.config.groups)
        label = prediction.columns[f"{self.name}/label"].astype(np.int64)
        confusion = confusion_matrix(truth, label, len(self.config.classes))
        self.confusion += confusion
        total = int(confusion.sum())
        self.event_accuracy.append(int(np.trace(confusion)) / total if total else None)

    def result(self) -> dict[str, Any]:
        """See `Evaluator.result`."""
        result: dict[str, Any] = {
            "kind": "semantic",
            "classes": list(self.config.classes),
            "confusion": self.confusion.tolist(),
            **segmentation_scores(self.confusion, self.config.classes),
            "event_accuracy": self.event_accuracy,
        }
        two = track_shower_confusion(self.confusion, self.config.classes)
        if two is not None:
            result["track_shower"] = {
                "classes": ["track", "shower"],
                "confusion": two.tolist(),
                **segmentation_scores(two, ("track", "shower")),
            }
        return result

"""The losses that a semantic head can be trained with; a chain may add up several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, field_validator
from torch import Tensor

from lartpc_sparse.heads.losses.segmentation import cross_entropy, dice, focal, lovasz_softmax
from lartpc_sparse.schema import PartConfig

__all__ = [
    "CrossEntropyConfig",
    "DiceConfig",
    "FocalConfig",
    "LovaszSoftmaxConfig",
    "ScoredVoxels",
    "SemanticLossConfig",
]


@dataclass(frozen=True)
class ScoredVoxels:
    """What a loss compares, for N voxels and K classes.

    Attributes:
        logits: of the classes.
        truth: class, -1 not labelled.
        weight: of the voxel in the loss; 0 where not labelled.
        classes: their names.
    """

    logits: Float[Tensor, "N K"]
    truth: Int64[Tensor, " N"]
    weight: Float[Tensor, " N"]
    classes: tuple[str, ...]


class SemanticLossConfig(PartConfig, ABC):
    """Base of the losses; `kind` names the term in the log."""

    weight: float = Field(1.0, gt=0, description="factor of this term in the sum")

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse settings that do not fit the classes of the head, with a ValueError; nothing to refuse here."""
        del classes

    @abstractmethod
    def term(self, voxels: ScoredVoxels) -> Float[Tensor, ""]:
        """The term without its factor."""


class CrossEntropyConfig(SemanticLossConfig):
    """Cross-entropy, weighted by voxel; see `losses.segmentation.cross_entropy`."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread evenly over the classes")

    def term(self, voxels: ScoredVoxels) -> Float[Tensor, ""]:
        """See `SemanticLossConfig.term`."""
        return cross_entropy(voxels.logits, voxels.truth, voxels.weight, self.label_smoothing)


class FocalConfig(SemanticLossConfig):
    """Focal loss, weighted by voxel; see `losses.segmentation.focal`."""

    kind: Literal["focal"] = "focal"
    gamma: float = Field(2.0, ge=0, description="0: cross-entropy; more: well classified voxels count less")
    alpha: float | dict[str, Annotated[float, Field(ge=0)]] = Field(
        1.0, description="factor of all classes, or of classes by name (1 for the others)"
    )

    @field_validator("alpha")
    @classmethod
    def _positive(cls, alpha: float | dict[str, float]) -> float | dict[str, float]:
        if not isinstance(alpha, dict) and alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {alpha}")
        return alpha

    def check(self, classes: tuple[str, ...]) -> None:
        """Refuse a factor for a class that the head does not have."""
        unknown = [name for name in self.alpha if name not in classes] if isinstance(self.alpha, dict) else []
        if unknown:
            raise ValueError(f"alpha names {', '.join(unknown)}, but the classes are {', '.join(classes)}")

    def _factors(self, classes: tuple[str, ...]) -> Tensor:
        given: Mapping[str, float] = self.alpha if isinstance(self.alpha, dict) else {}
        default = 1.0 if isinstance(self.alpha, dict) else self.alpha
        return torch.tensor([given.get(name, default) for name in classes])

    def term(self, voxels: ScoredVoxels) -> Float[Tensor, ""]:
        """See `SemanticLossConfig.term`."""
        alpha = self._factors(voxels.classes)
        return focal(voxels.logits, voxels.truth, voxels.weight, alpha=alpha, gamma=self.gamma)


class LovaszSoftmaxConfig(SemanticLossConfig):
    """Surrogate of the mean IoU over the batch; voxel weights do not act. See `losses.segmentation.lovasz_softmax`."""

    kind: Literal["lovasz_softmax"] = "lovasz_softmax"

    def term(self, voxels: ScoredVoxels) -> Float[Tensor, ""]:
        """See `SemanticLossConfig.term`."""
        return lovasz_softmax(voxels.logits, voxels.truth)


class DiceConfig(SemanticLossConfig):
    """One minus the mean soft Dice coefficient over the batch; see `losses.segmentation.dice`."""

    kind: Literal["dice"] = "dice"

    def term(self, voxels: ScoredVoxels) -> Float[Tensor, ""]:
        """See `SemanticLossConfig.term`."""
        return dice(voxels.logits, voxels.truth, voxels.weight)

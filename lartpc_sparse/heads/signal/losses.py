"""Losses of the signal head, all over the labelled pixels of a batch; binary forms of the segmentation losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field, model_validator
from torch import Tensor

from lartpc_sparse.heads.losses.segmentation import cross_entropy, dice, focal
from lartpc_sparse.schema import PartConfig

__all__ = ["SignalBceConfig", "SignalDiceConfig", "SignalFocalConfig", "SignalLossConfig"]


class SignalLossConfig(PartConfig, ABC):
    """Base of the losses; `kind` names the term in the log."""

    weight: float = Field(1.0, gt=0, description="factor of this term in the sum")

    @abstractmethod
    def term(self, logit: Float[Tensor, " N"], truth: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
        """The term without its factor; truth is 1 signal, 0 background, -1 not labelled."""


class SignalFocalConfig(SignalLossConfig):
    """Focal loss -alpha_t (1 - p_t)^gamma log p_t (Lin et al., arXiv:1708.02002)."""

    kind: Literal["focal"] = "focal"
    gamma: float = Field(2.0, ge=0, description="0: cross-entropy; more: well classified pixels count less")
    alpha: float = Field(4.0, gt=0, description="of the signal; see `form`. Seed of pixel selection: 4")
    form: Literal["positive_weight", "normalised"] = Field(
        "positive_weight",
        description="positive_weight: signal counts alpha, background 1; normalised: alpha (below 1) and 1 - alpha",
    )
    divide_by: Literal["pixels", "signal"] = Field(
        "pixels", description="the sum is divided by the number of pixels, or of signal pixels as in the paper"
    )

    @model_validator(mode="after")
    def _fits(self) -> SignalFocalConfig:
        if self.form == "normalised" and self.alpha >= 1:
            raise ValueError(f"alpha {self.alpha} with form normalised must be below 1; or take form: positive_weight")
        return self

    def term(self, logit: Float[Tensor, " N"], truth: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
        """See `SignalLossConfig.term`."""
        background = 1.0 if self.form == "positive_weight" else 1.0 - self.alpha
        factors = torch.tensor([background, self.alpha])
        mean = focal(_two(logit), truth, torch.ones_like(logit), alpha=factors, gamma=self.gamma)
        if self.divide_by == "pixels":
            return mean
        return mean * (truth >= 0).sum() / (truth == 1).sum().clamp(min=1)


class SignalBceConfig(SignalLossConfig):
    """Binary cross-entropy, signal weighted."""

    kind: Literal["bce"] = "bce"
    positive_weight: float = Field(1.0, gt=0, description="weight of signal pixels; background counts 1")

    def term(self, logit: Float[Tensor, " N"], truth: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
        """See `SignalLossConfig.term`."""
        weight = torch.where(truth == 1, self.positive_weight, 1.0).to(logit)
        return cross_entropy(_two(logit), truth, weight)


class SignalDiceConfig(SignalLossConfig):
    """One minus the soft Dice coefficient of signal and background; see `losses.segmentation.dice`."""

    kind: Literal["dice"] = "dice"

    def term(self, logit: Float[Tensor, " N"], truth: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
        """See `SignalLossConfig.term`."""
        return dice(_two(logit), truth, torch.ones_like(logit))


def _two(logit: Float[Tensor, " N"]) -> Float[Tensor, "N 2"]:
    """Logits of background and signal whose softmax is the sigmoid."""
    return torch.stack([torch.zeros_like(logit), logit], dim=1)

"""The energy loss of the inpainting head: its form, and the weights of its two terms."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor, nn

from lartpc_sparse.heads.losses import RegressionForm
from lartpc_sparse.schema import Config

__all__ = ["RegressionConfig", "TermWeights"]


class RegressionConfig(Config):
    """The energy loss w_0 L_track + w_1 L_nontrack."""

    form: RegressionForm = Field(
        "balanced",
        description="balanced: each term over its own voxels; literal: both over all candidates; active_only: only the "
        "voxels that are truly active, the activation says what is not",
    )
    weighting: Literal["fixed", "learned_softmax", "floored_softmax", "homoscedastic"] = Field(
        "fixed",
        description="learned_softmax is the literal form, softmax(log w) with learnable w; floored_softmax keeps each "
        "weight above `floor`; homoscedastic: learnable uncertainties (arXiv:1705.07115)",
    )
    weights: tuple[NonNegativeFloat, NonNegativeFloat] = Field(
        (0.5, 0.5), description="(track, nontrack), the start values when learned"
    )
    floor: float = Field(0.2, ge=0, lt=0.5, description="lowest weight of floored_softmax")

    @model_validator(mode="after")
    def _learnable(self) -> RegressionConfig:
        if self.weighting != "fixed" and min(self.weights) == 0:
            raise ValueError(f"learned weights start from their logarithms and cannot be 0, got {self.weights}")
        return self


class TermWeights(nn.Module):
    """Weights (w_0, w_1) of the two terms, and what is added to the loss so that they stay finite.

    - fixed: as given, nothing added.
    - learned_softmax: softmax(log w). It collapses: descent moves weight to the smaller term.
    - floored_softmax: floor + (1 - 2 floor) softmax(log w).
    - homoscedastic: w_i = exp(-s_i), with (s_0 + s_1) / 2 added; s_i = log of the variance of term i, so that a term
      L_i is in balance at w_i = 1 / (2 L_i): a hard term weighs less, but its weight never goes to 0
      (Kendall, Gal and Cipolla, arXiv:1705.07115, eq. 7, times w_i = 1 / (2 sigma_i^2)).
    """

    log_weights: Tensor | None

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__()
        self.config = config
        if config.weighting == "fixed":
            self.register_buffer("log_weights", None)
        else:
            self.log_weights = nn.Parameter(torch.tensor(config.weights).log())

    def forward(self, like: Tensor) -> tuple[Float[Tensor, " 2"], Float[Tensor, ""]]:
        """The weights, and the term that is added; on the device of `like`."""
        nothing = like.new_zeros(())
        if self.log_weights is None:
            return like.new_tensor(self.config.weights), nothing
        if self.config.weighting == "homoscedastic":
            return self.log_weights.exp(), -self.log_weights.sum() / 2
        weights = torch.softmax(self.log_weights, dim=0)
        if self.config.weighting == "floored_softmax":
            weights = self.config.floor + (1 - 2 * self.config.floor) * weights
        return weights, nothing

"""Averages of the weights over the steps of a training: exponential (EMA) or plain over its last part (SWA).

Sources: Polyak and Juditsky, SIAM J. Control Optim. 30 (1992) 838; Izmailov et al., arXiv:1803.05407 (SWA); Tarvainen
and Valpola, arXiv:1703.01780 (EMA).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from lartpc_sparse.schema import PartConfig

__all__ = ["AverageConfig", "EmaConfig", "SwaConfig"]


class AverageConfig(PartConfig, ABC):
    """Base of the averages."""

    batch_norm: Literal["averaged", "recomputed"] = Field(
        "averaged",
        description="running statistics of batch norms: averaged as the weights are, or computed anew for the averaged "
        "weights from training batches, before every validation and checkpoint",
    )
    batch_norm_batches: int = Field(50, ge=1, description="batches for recomputed statistics")

    @abstractmethod
    def counts(self, step: int, total_steps: int) -> bool:
        """Whether the weights after optimiser step `step` (from 1) go into the average."""

    @abstractmethod
    def update(self, average: list[Tensor], weights: list[Tensor], count: int) -> None:
        """Take weights into an average of `count` earlier ones (at least 1), in place."""


class EmaConfig(AverageConfig):
    """Exponential moving average: average = decay * average + (1 - decay) * weights, after every step."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(0.999, gt=0, lt=1, description="the memory is about 1 / (1 - decay) steps long")
    warmup: bool = Field(
        True, description="begin with a short memory: after n steps the decay is at most (1 + n) / (10 + n)"
    )

    def counts(self, step: int, total_steps: int) -> bool:
        """Every step counts."""
        del step, total_steps
        return True

    def update(self, average: list[Tensor], weights: list[Tensor], count: int) -> None:
        """See `AverageConfig.update`."""
        decay = min(self.decay, (1 + count) / (10 + count)) if self.warmup else self.decay
        get_ema_multi_avg_fn(decay)(average, weights, count)  # type: ignore[no-untyped-call]


class SwaConfig(AverageConfig):
    """Plain average over the last part of the training; until then the weights are those of the optimiser."""

    kind: Literal["swa"] = "swa"
    start_fraction: float = Field(
        0.75, ge=0, lt=1, description="share of the optimiser steps before the average begins"
    )
    every_steps: int = Field(1, ge=1, description="optimiser steps from one averaged state to the next")

    def counts(self, step: int, total_steps: int) -> bool:
        """The first step behind `start_fraction`, and every `every_steps` from there."""
        behind = step - 1 - int(self.start_fraction * total_steps)
        return behind >= 0 and behind % self.every_steps == 0

    def update(self, average: list[Tensor], weights: list[Tensor], count: int) -> None:
        """See `AverageConfig.update`."""
        get_swa_multi_avg_fn()(average, weights, count)  # type: ignore[no-untyped-call]

"""Configuration of the training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lartpc_sparse.schema import Config, OneOf
from lartpc_sparse.train.average_config import AverageConfig, EmaConfig, SwaConfig

__all__ = ["EarlyStopConfig", "OptimizerConfig", "Precision", "ScheduleConfig", "TrainConfig"]


def _text(value: Any) -> Any:
    """YAML reads 32 and 16 as numbers."""
    return str(value) if isinstance(value, int) else value


Precision = Annotated[Literal["32", "bf16", "16"], BeforeValidator(_text)]


class OptimizerConfig(Config):
    """Optimiser: of torch.optim, or `muon` (lartpc_sparse/train/muon.py)."""

    kind: Literal["adam", "adamw", "sgd", "muon"] = "adamw"
    lr: float = Field(1e-3, gt=0, description="highest learning rate")
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and muon, and beta_1 of adam and adamw")


class ScheduleConfig(Config):
    """Learning rate against the step: a linear warm-up, then constant or falling to `final_fraction`."""

    kind: Literal["constant", "cosine", "linear"] = "constant"
    warmup_steps: int = Field(0, ge=0, description="optimiser steps of linear warm-up from 0")
    final_fraction: float = Field(0.01, ge=0, le=1, description="last rate as a share of the highest")


class EarlyStopConfig(Config):
    """Stop when the validation loss has not fallen for a while."""

    patience: int = Field(5, ge=1, description="validations without improvement")
    min_delta: float = Field(0.0, ge=0, description="least improvement that counts")


class TrainConfig(Config):
    """Section `train` of a chain."""

    epochs: int = Field(15, ge=1)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: Precision = Field(
        "32", description="32, or mixed precision with bfloat16 or float16 (CUDA only) convolutions"
    )
    clip_norm: float | None = Field(1.0, gt=0, description="largest norm of the gradient; null: unlimited")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are added up for one step")
    loss_across_ranks: Literal["global", "local"] = Field(
        "global",
        description="with several ranks: the loss of all their events together, as one rank would have it, or the mean "
        "of the losses of the ranks, which costs less where there are many",
    )
    batch_norm_across_ranks: bool = Field(
        False, description="with several ranks: batch norms take their statistics over the voxels of all ranks"
    )
    on_bad_loss: Literal["stop", "skip"] = Field(
        "stop",
        description="a loss that is not finite: stop, or leave the batch out; its events are saved in both cases",
    )
    devices: int | Literal["auto"] = Field("auto", description="GPUs or CPU processes; auto: all GPUs, one CPU process")
    validate_every: int = Field(1, ge=1, description="epochs between validations; the last one is always validated")
    checkpoint_every_steps: int | None = Field(
        None, ge=1, description="also save the last state every so many steps, beside the end of each epoch"
    )
    fresh_heads: tuple[str, ...] = Field(
        (), description="heads that begin untrained, with their own decoders, when `weights` starts the training"
    )
    average: Annotated[AverageConfig, OneOf(EmaConfig, SwaConfig)] | None = Field(
        None, description="validate, save and predict with an average of the weights instead of the last ones"
    )
    early_stop: EarlyStopConfig | None = None
    log_every_steps: int = Field(1, ge=1)

"""What Lightning's Trainer is told: devices, precision, callbacks, and what to be quiet about."""

from __future__ import annotations

import logging
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy

from lartpc_sparse.jobs import Ranks
from lartpc_sparse.schema import UserError
from lartpc_sparse.train.averaging import WeightAverage
from lartpc_sparse.train.bar import TrainingBar
from lartpc_sparse.train.config import TrainConfig
from lartpc_sparse.train.loaders import TrainingData
from lartpc_sparse.weights import BEST, LAST

__all__ = ["callbacks_for", "devices_for", "environment_for", "precision_for", "quiet"]


def callbacks_for(config: TrainConfig, folder: Path, data: TrainingData) -> list[pl.Callback]:
    """Checkpoints last: Lightning saves after all other callbacks have seen the epoch."""
    monitored = data.validation is not None
    callbacks: list[pl.Callback] = [TrainingBar()]
    if config.average is not None:
        callbacks.append(WeightAverage(config.average, data.first_batches))
    if config.early_stop is not None:
        callbacks.append(
            EarlyStopping(
                "val/loss", patience=config.early_stop.patience, min_delta=config.early_stop.min_delta, verbose=False
            )
        )
    shared: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "auto_insert_metric_name": False}
    callbacks.append(
        _NamedCheckpoint(
            **shared,
            filename=BEST.removesuffix(".ckpt"),
            monitor="val/loss" if monitored else None,
            save_top_k=1,
            save_on_train_epoch_end=True,
            every_n_epochs=1,
        )
    )
    if monitored and config.validate_every > 1:
        callbacks.append(_ValidateTheEnd())
    callbacks.append(
        _NamedCheckpoint(**shared, filename=LAST.removesuffix(".ckpt"), save_top_k=1, save_on_train_epoch_end=True)
    )
    return callbacks


class _NamedCheckpoint(ModelCheckpoint):
    """A checkpoint whose own state is kept under its file name too.

    Lightning keeps it under the settings alone and refuses two that are alike: `best` and `last` without validation.
    """

    _validated = False

    @property
    def state_key(self) -> str:
        """Where Lightning keeps the state."""
        return f"{super().state_key}{{filename={self.filename!r}}}"

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Now there is something to judge by."""
        self._validated = True
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What watches a loss saves after the epochs that were validated."""
        if self.monitor is None or self._validated:
            super().on_train_epoch_end(trainer, pl_module)
        self._validated = False


class _ValidateTheEnd(pl.Callback):
    """The last epoch is validated whatever `validate_every` says: with the rate at its lowest it is often the best."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A training that goes on in its last epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Every epoch."""
        del pl_module
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1


def devices_for(config: TrainConfig, device: str, ranks: Ranks) -> dict[str, Any]:
    """What Lightning is told of devices and processes."""
    accelerator = "gpu" if device == "cuda" else "cpu"
    if ranks.several:
        strategy = DDPStrategy(timeout=timedelta(minutes=30))
        return {
            "accelerator": accelerator,
            "devices": ranks.local_size,
            "num_nodes": ranks.nodes,
            "strategy": strategy,
        }
    devices = config.devices if device == "cuda" or config.devices != "auto" else 1
    return {"accelerator": accelerator, "devices": devices}


def environment_for(ranks: Ranks) -> LightningEnvironment | TorchElasticEnvironment:
    """Named, so that Lightning does not look for a batch system itself and act on its signals."""
    return TorchElasticEnvironment() if ranks.several else LightningEnvironment()


def precision_for(config: TrainConfig, device: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Lightning's name of the precision.

    Raises:
        UserError: float16 on a CPU.
    """
    if config.precision == "16" and device == "cpu":
        raise UserError("train.precision 16 needs a CUDA device; use bf16 or 32 on a CPU")
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[config.precision]  # type: ignore[return-value]


def quiet() -> None:
    """Lightning's hints that do not apply here: our samplers resume, and the bar and log are our own."""
    for text in (
        ".*does not have many workers.*",
        ".*not resumable.*",
        ".*exists and is not empty.*",
        ".*srun. command is available.*",
        ".*sync_dist=True.*",  # what a rank logs of itself, its speed, is its own
        ".*Total length of `list` across ranks is zero.*",  # no validation
        ".*isinstance.*",
    ):
        warnings.filterwarnings("ignore", message=text, module="lightning.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.trainer.connectors").setLevel(logging.WARNING)

"""The progress bar of the whole training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.progress import Progress, track
from lartpc_sparse.train.module import TrainingModule

__all__ = ["TrainingBar"]


class TrainingBar(pl.Callback):
    """One bar over all batches of all epochs: loss, voxels/s and the time left."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._loss: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        assert isinstance(pl_module, TrainingModule)
        self._bar = track(
            "train",
            total=pl_module.total_batches,
            unit="batches",
            rate="voxels",
            start=pl_module.batches_done,
            show=trainer.is_global_zero,
        )
        self._bar.__enter__()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Move on."""
        del pl_module, batch_idx
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, torch.Tensor):
            # A running mean: single batches jump too much to read.
            value = float(loss) * trainer.accumulate_grad_batches
            self._loss = value if self._loss is None else 0.95 * self._loss + 0.05 * value
        if self._bar is not None:
            numbers = {} if self._loss is None else {"loss": self._loss}
            self._bar.advance(1, voxels=batch.num_voxels, epoch=trainer.current_epoch + 1, **numbers)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close the bar and say where it stopped."""
        self._close(exception)

    def _close(self, exception: BaseException | None = None) -> None:
        if self._bar is not None:
            self._bar.__exit__(type(exception) if exception else None, exception, None)
            self._bar = None

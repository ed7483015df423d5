"""Saves the state of a training between two steps: every so often, and when the batch system wants its machine back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lartpc_sparse.jobs import Ranks, Stopped, StopSignals, note
from lartpc_sparse.weights import LAST

__all__ = ["SaveAndStop"]


class SaveAndStop(pl.Callback):
    """Saves before a batch begins, when the log has all of the steps before.

    Not at the beginning of an epoch, whose end is saved after its validation, and not while gradients are being added
    up, which no checkpoint holds: a training that goes on from there is the one that was not interrupted.

    Args:
        folder: of the checkpoints.
        ranks: they must agree on the step to stop at.
        stop: signals that came.
        every_steps: optimiser steps between two checkpoints, None: only on a signal.
        first_step: optimiser steps done when the run begins.
    """

    def __init__(self, folder: Path, ranks: Ranks, stop: StopSignals, every_steps: int | None, first_step: int) -> None:
        self.folder, self.ranks, self.stop, self.every_steps = folder, ranks, stop, every_steps
        self._saved = first_step
        self._between_batches = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has just put its own handler of SIGTERM in place, which saves nothing."""
        del trainer, pl_module
        self.stop.listen()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time; end when a signal came.

        Raises:
            Stopped: on all ranks at the same step.
        """
        del pl_module, batch
        if batch_idx % trainer.accumulate_grad_batches:
            return
        stop = self.ranks.any(self.stop.name is not None)
        due = self.every_steps is not None and trainer.global_step % self.every_steps == 0
        if (due or stop) and batch_idx > 0 and trainer.global_step != self._saved:
            self._between_batches = True
            trainer.save_checkpoint(self.folder / LAST, weights_only=False)
            self._between_batches = False
        self._saved = trainer.global_step if batch_idx > 0 else self._saved
        if stop:
            note("training_stopped", step=trainer.global_step, signal=self.stop.name)
            raise Stopped(self.stop.name or "a signal on another rank")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let Lightning's counters say what a checkpoint at the end of the batch before would say.

        It has fetched a batch already, which a training that goes on fetches again.
        """
        del trainer, pl_module
        if not self._between_batches:
            return
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        progress["current"]["ready"] -= 1
        progress["total"]["ready"] -= 1
        progress["is_last_batch"] = False

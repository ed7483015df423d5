"""The network as a LightningModule: one training step, one validation step, the optimiser."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.jobs import LossError, RankError, Ranks, note
from lartpc_sparse.network import Network
from lartpc_sparse.provenance import provenance
from lartpc_sparse.train.bad_batch import save_batch
from lartpc_sparse.train.config import TrainConfig
from lartpc_sparse.train.gathered import gather_batch, gather_outputs
from lartpc_sparse.train.optimizers import build_optimizer
from lartpc_sparse.train.schedule import rate_factor
from lartpc_sparse.weights import CHECKPOINT_KEY

__all__ = ["TrainingModule"]

logger = logging.getLogger("lartpc_sparse")


class TrainingModule(pl.LightningModule):
    """Trains a network on batches of events.

    Args:
        network: what is trained.
        config: section `train`.
        total_steps: optimiser steps of the whole training, for the schedule.
        total_batches, batches_done: batches of the whole training, and those that an interrupted run had done.
        config_yaml: resolved configuration of the chain, stored in every checkpoint.
        folder: where batches go whose loss is not finite.
        ranks: that train together.
    """

    def __init__(
        self,
        network: Network,
        config: TrainConfig,
        *,
        total_steps: int,
        total_batches: int,
        batches_done: int,
        config_yaml: str,
        folder: Path,
        ranks: Ranks,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.total_steps = total_steps
        self.total_batches = total_batches
        self.batches_done = batches_done
        self.config_yaml = config_yaml
        self.folder = folder
        self.ranks = ranks
        self._statistics: dict[str, Tensor] = {}  # before the step, where a bad batch is left out
        self._good = 0  # batches since the last optimiser step whose loss was finite
        self._waiting_since = time.monotonic()
        self._step_began = self._waiting_since
        self._waited_s = self._worked_s = 0.0
        self._skipped = 0  # events of this rank and epoch
        self._voxels = 0  # of the last batch, of all ranks where their events are brought together

    @property
    def _gathers(self) -> bool:
        return self.ranks.several and self.config.loss_across_ranks == "global"

    def _terms(self, batch: Batch) -> tuple[Batch, Tensor, dict[str, Tensor], dict[str, dict[str, Tensor]]]:
        outputs = self.network(batch)
        if self._gathers:
            batch, outputs = gather_batch(batch), gather_outputs(outputs)
        terms = self.network.loss(outputs, batch)
        return batch, torch.stack(list(terms.values())).sum(), terms, outputs

    def on_train_epoch_start(self) -> None:
        """The share of the time that an epoch waits for data, and its skipped events, are counted anew.

        Checkpoints are written between two epochs, which is not waiting for data; the time before the first epoch is:
        reader processes start in it.
        """
        if self._worked_s:
            self._waiting_since = time.monotonic()
        self._waited_s = self._worked_s = 0.0
        self._skipped = 0

    def on_train_epoch_end(self) -> None:
        """Log the share of the epoch's time that the steps waited for their data, starts of workers included."""
        total = self._waited_s + self._worked_s
        if total > 0:
            self.log("epoch_data_wait_fraction", self._waited_s / total)
        if self._skipped:
            note("skipped_events", epoch=self.current_epoch + 1, count=self._skipped)
            logger.warning(
                "epoch %d: %d events were skipped; each is named above", self.current_epoch + 1, self._skipped
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Note how long the step waited for its data."""
        del batch, batch_idx
        self._step_began = time.monotonic()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch.

        Raises:
            LossError: the loss is not finite, unless such batches are left out; names the events.
        """
        del batch_idx
        self._skipped += batch.skipped
        if self.config.on_bad_loss == "skip":
            self._statistics = {name: value.clone() for name, value in self.network.named_buffers()}
        batch, loss, terms, outputs = self._terms(batch)
        bad = not bool(torch.isfinite(loss.detach()))
        if bad if self._gathers else self.ranks.any(bad):
            return self._bad_loss(loss, terms, batch)
        self._good += 1
        with torch.no_grad():
            monitored = self.network.monitor(outputs, batch)
        self._log("train", loss, {**terms, **monitored}, batch)
        self._voxels = batch.num_voxels
        return loss

    def _bad_loss(self, loss: Tensor, terms: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Refuse a loss, or give one without effect in its place."""
        if bool(torch.isfinite(loss.detach())):
            if self.config.on_bad_loss == "stop":
                raise RankError(
                    "the loss of another rank is not finite; it has said why, and kept its events", LossError.exit_code
                )
        else:
            self._tell_bad_loss(loss, terms, batch)
        with torch.no_grad():
            for name, value in self.network.named_buffers():
                value.copy_(self._statistics[name])
        return torch.stack([parameter.sum() * 0.0 for parameter in self.network.parameters()]).sum()

    def _tell_bad_loss(self, loss: Tensor, terms: Mapping[str, Tensor], batch: Batch) -> None:
        """Keep the batch, and say which events made the loss, as an error unless such batches are left out."""
        values = {name: float(value.detach()) for name, value in terms.items()}
        bad = ", ".join(f"{name} {value}" for name, value in values.items() if not math.isfinite(value))
        kept: Path | None = None
        if self.ranks.first or not self._gathers:
            kept = save_batch(batch, self.folder, self.global_step, self.ranks.rank)
        text = (
            f"the loss became {float(loss.detach())} at step {self.global_step} ({bad or 'the sum of all terms'}) "
            f"on the events {', '.join(map(str, batch.keys))}"
        )
        note("bad_loss", step=self.global_step, terms={k: str(v) for k, v in values.items()}, batch=str(kept))
        if self.config.on_bad_loss == "stop":
            raise LossError(
                f"{text}; they are kept in {kept}: look at these events, or lower train.optimizer.lr or "
                "train.clip_norm, or leave such batches out with train.on_bad_loss: skip. The last checkpoint is kept"
            )
        if kept is not None:
            logger.warning("%s; the batch is left out and kept in %s", text, kept)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """One step; none when all of its batches were left out."""
        if self.config.on_bad_loss == "stop" or optimizer_closure is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
            return
        loss = optimizer_closure()
        if self._good:
            super().optimizer_step(epoch, batch_idx, optimizer, lambda: loss)
        else:
            optimizer.zero_grad()
        self._good = 0

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the speed of the step and its learning rate."""
        del outputs, batch, batch_idx
        now = time.monotonic()
        waited, worked = self._step_began - self._waiting_since, now - self._step_began
        self._waited_s += waited
        self._worked_s += worked
        self.log_dict(
            {
                "lr": self.optimizers().param_groups[0]["lr"],  # type: ignore[union-attr]
                "voxels_per_s": self._voxels / max(waited + worked, 1e-9),
                "data_wait_fraction": waited / max(waited + worked, 1e-9),
            }
        )
        self._waiting_since = now

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss and monitored quantities of one validation batch."""
        del batch_idx
        batch, loss, terms, outputs = self._terms(batch)
        self._log("val", loss, {**terms, **self.network.monitor(outputs, batch)}, batch)

    def on_validation_end(self) -> None:
        """Validation is not waiting for data."""
        self._waiting_since = time.monotonic()

    def _log(self, stage: str, loss: Tensor, terms: Mapping[str, Tensor], batch: Batch) -> None:
        training = stage == "train"
        self.log_dict(
            {f"{stage}/loss": loss, **{f"{stage}/{name}": value for name, value in terms.items()}},
            batch_size=len(batch),
            on_step=training,
            on_epoch=not training,
            sync_dist=not training and not self._gathers,  # gathered ones are the same on all ranks
        )

    def configure_optimizers(self) -> Any:
        """Optimiser and a schedule that acts at every step."""
        optimizer = build_optimizer(self.config.optimizer, self.network)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, self.total_steps, self.config.schedule)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say which code and configuration made the checkpoint, and where in the epoch it stands."""
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current
        checkpoint[CHECKPOINT_KEY] = {
            **provenance(),
            "config": self.config_yaml,
            "epoch": self.trainer.current_epoch,
            "batch": progress.completed,
        }

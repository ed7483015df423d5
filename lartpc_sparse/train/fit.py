"""Training through Lightning's Trainer: from readers and configuration to checkpoints and logs."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.pipeline import event_loader
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler, counts_for
from lartpc_sparse.network import Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.train.averaging import WeightAverage
from lartpc_sparse.train.bar import TrainingBar
from lartpc_sparse.train.checkpoint import Position, position
from lartpc_sparse.train.config import TrainConfig
from lartpc_sparse.train.csv_logger import CsvLogger
from lartpc_sparse.train.module import TrainingModule
from lartpc_sparse.weights import BEST, LAST, read_checkpoint

__all__ = ["LOG", "TrainingData", "fit"]

LOG = "training.csv"


@dataclass(frozen=True)
class TrainingData:
    """What to train and validate on, and how events are grouped into batches.

    Attributes:
        train, validation: datasets; no validation leaves the best checkpoint equal to the last.
        batch: size of a batch on one rank.
        seed: of the order of the events.
        num_workers: processes that read ahead.
    """

    train: EventDataset
    validation: EventDataset | None
    batch: BatchConfig
    seed: int
    num_workers: int

    def sampler(self, trainer: pl.Trainer, *, training: bool) -> EventBatchSampler:
        """The batches of this rank."""
        dataset = self.train if training or self.validation is None else self.validation
        return EventBatchSampler(
            counts_for(dataset, self.batch),
            self.batch,
            shuffle=training,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )

    def first_batches(self, number: int) -> Iterator[Batch]:
        """Some training batches, always the same."""
        sampler = EventBatchSampler(counts_for(self.train, self.batch), self.batch, shuffle=True, seed=self.seed)
        loader = event_loader(self.train, sampler, num_workers=0)
        return itertools.islice(iter(loader), number)


class _Loaders(pl.LightningDataModule):
    """Makes the loaders of an epoch; batches are a function of (seed, epoch), so a resumed epoch skips those done."""

    def __init__(self, data: TrainingData, sampler: EventBatchSampler, start: Position) -> None:
        super().__init__()
        self.data = data
        self.sampler = sampler
        self.start = start

    def train_dataloader(self) -> DataLoader[Event]:
        assert self.trainer is not None
        epoch = self.trainer.current_epoch
        done = self.start.batch if epoch == self.start.epoch else 0
        self.sampler.set_epoch(epoch, start_batch=done)
        return event_loader(self.data.train, self.sampler, num_workers=self.data.num_workers)

    def val_dataloader(self) -> DataLoader[Event] | list[Any]:
        if self.data.validation is None:
            return []
        assert self.trainer is not None
        sampler = self.data.sampler(self.trainer, training=False)
        return event_loader(self.data.validation, sampler, num_workers=self.data.num_workers)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Batches are not plain collections, so Lightning must be told."""
        del dataloader_idx
        return batch.to(device)


def _callbacks(config: TrainConfig, folder: Path, data: TrainingData) -> list[pl.Callback]:
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
            every_n_epochs=config.validate_every if monitored else 1,
        )
    )
    callbacks.append(
        _NamedCheckpoint(**shared, filename=LAST.removesuffix(".ckpt"), save_top_k=1, save_on_train_epoch_end=True)
    )
    if config.checkpoint_every_steps is not None:
        callbacks.append(
            _NamedCheckpoint(
                **shared,
                filename=LAST.removesuffix(".ckpt"),
                save_top_k=1,
                every_n_train_steps=config.checkpoint_every_steps,
                save_on_train_epoch_end=False,
            )
        )
    return callbacks


class _NamedCheckpoint(ModelCheckpoint):
    """A checkpoint whose own state is kept under its file name too.

    Lightning keeps it under the settings alone and refuses two that are alike: `best` and `last` without validation.
    """

    @property
    def state_key(self) -> str:
        """Where Lightning keeps the state."""
        return f"{super().state_key}{{filename={self.filename!r}}}"


def _precision(config: TrainConfig, device: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    if config.precision == "16" and device == "cpu":
        raise UserError("train.precision 16 needs a CUDA device; use bf16 or 32 on a CPU")
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[config.precision]  # type: ignore[return-value]


def _quiet() -> None:
    """Lightning's hints that do not apply here: our samplers resume, and the bar and log are our own."""
    for text in (
        ".*does not have many workers.*",
        ".*not resumable.*",
        ".*exists and is not empty.*",
        ".*isinstance.*",
    ):
        warnings.filterwarnings("ignore", message=text, module="lightning.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)


def fit(
    network: Network,
    config: TrainConfig,
    data: TrainingData,
    *,
    folder: Path,
    device: Literal["cpu", "cuda"],
    config_yaml: str,
    resume: bool,
) -> None:
    """Train `network`; checkpoints `best.ckpt` and `last.ckpt`, the log `training.csv` and TensorBoard in `folder`.

    Args:
        network: trained in place.
        config: section `train`.
        data: what to train and validate on.
        folder: made if missing.
        device: what to train on.
        config_yaml: stored in the checkpoints.
        resume: continue from `last.ckpt` if there is one.

    Raises:
        UserError: a damaged checkpoint, a loss that is not finite, early stop without validation events.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if config.early_stop is not None and data.validation is None:
        raise UserError("train.early_stop watches the validation loss, but data.validation is missing")
    last = folder / LAST
    checkpoint = read_checkpoint(last) if resume and last.exists() else None
    first_step = 0 if checkpoint is None else int(checkpoint["global_step"])
    _quiet()
    trainer = pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=config.devices if device == "cuda" or config.devices != "auto" else 1,
        precision=_precision(config, device),
        max_epochs=config.epochs,
        gradient_clip_val=config.clip_norm,
        accumulate_grad_batches=config.accumulate,
        check_val_every_n_epoch=config.validate_every,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_every_steps,
        callbacks=_callbacks(config, folder, data),
        logger=[
            CsvLogger(folder / LOG, first_step=first_step),
            TensorBoardLogger(folder, name="tensorboard", version="", purge_step=first_step or None),
        ],
        reload_dataloaders_every_n_epochs=1,  # each epoch has its own sampler state
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    sampler = data.sampler(trainer, training=True)
    batches = [sampler.num_batches(epoch) for epoch in range(config.epochs)]
    if sum(batches) == 0:
        raise UserError("data.train has no events")
    start = Position() if checkpoint is None else position(checkpoint, batches)
    module = TrainingModule(
        network,
        config,
        total_steps=sum(-(-number // config.accumulate) for number in batches),
        total_batches=sum(batches),
        batches_done=sum(batches[: start.epoch]) + start.batch,
        config_yaml=config_yaml,
    )
    try:
        trainer.fit(
            module,
            datamodule=_Loaders(data, sampler, start),
            ckpt_path=None if checkpoint is None else str(last),
            weights_only=True,
        )
    except SystemExit as exit_:  # how Lightning ends after Ctrl-C
        raise KeyboardInterrupt from exit_

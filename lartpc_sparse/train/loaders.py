"""The batches of a training: which events, in which order, from where an interrupted run goes on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.dataset import FILLER, EventDataset
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.pipeline import event_loader
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler, counts_for
from lartpc_sparse.train.checkpoint import Position

__all__ = ["EpochLoaders", "TrainingData"]


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
        counts = counts_for(dataset, self.batch) if trainer.world_size == 1 else dataset.num_voxels()
        return EventBatchSampler(
            counts,
            self.batch,
            shuffle=training,
            seed=self.seed,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            filler=FILLER,
        )

    @contextmanager
    def counting_voxels(self, *, several_ranks: bool) -> Iterator[None]:
        """Other processes count the voxels that batches are packed by while a block runs; known at its end."""
        with ExitStack() as stack:
            if several_ranks or self.batch.max_voxels is not None:
                for dataset in (self.train, self.validation):
                    if dataset is not None:
                        stack.enter_context(dataset.counting_voxels())
            yield

    def first_batches(self, number: int) -> Iterator[Batch]:
        """Some training batches, always the same."""
        sampler = EventBatchSampler(counts_for(self.train, self.batch), self.batch, shuffle=True, seed=self.seed)
        loader = event_loader(self.train, sampler, num_workers=0)
        return itertools.islice(iter(loader), number)


class EpochLoaders(pl.LightningDataModule):
    """Makes the loaders of an epoch; batches are a function of (seed, epoch), so a resumed epoch skips those done."""

    def __init__(self, data: TrainingData, sampler: EventBatchSampler, start: Position) -> None:
        super().__init__()
        self.data = data
        self.sampler = sampler
        self.start = start
        # one loader each for all epochs: its reader processes live on, and keep their files open
        self._train: DataLoader[Event] | None = None
        self._validation: DataLoader[Event] | None = None

    def train_dataloader(self) -> DataLoader[Event]:
        """Batches of the epoch that are still to do."""
        assert self.trainer is not None
        epoch = self.trainer.current_epoch
        done = self.start.batch if epoch == self.start.epoch else 0
        self.sampler.set_epoch(epoch, start_batch=done)
        if self._train is None:
            self._train = event_loader(self.data.train, self.sampler, num_workers=self.data.num_workers)
        return self._train

    def val_dataloader(self) -> DataLoader[Event] | list[Any]:
        """Batches of the validation, if there is one."""
        if self.data.validation is None:
            return []
        if self._validation is None:
            assert self.trainer is not None
            sampler = self.data.sampler(self.trainer, training=False)
            self._validation = event_loader(self.data.validation, sampler, num_workers=self.data.num_workers)
        return self._validation

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Batches are not plain collections, so Lightning must be told."""
        del dataloader_idx
        return batch.to(device)

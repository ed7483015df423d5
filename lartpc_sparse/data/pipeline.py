"""Section `data` of a chain, and the loaders made of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.utils.data import DataLoader

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import (
    LarcvHdf5Config,
    LarcvRootConfig,
    PilarnetConfig,
    ReaderConfig,
    SampleConfig,
    VoxelsConfig,
)
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler
from lartpc_sparse.data.transforms import (
    CropConfig,
    EnergyThresholdConfig,
    FlipConfig,
    LogEnergyConfig,
    MergeDuplicatesConfig,
    PermuteAxesConfig,
    ScaleEnergyConfig,
    Transform,
    TransformConfig,
    TranslateConfig,
)
from lartpc_sparse.schema import Config, OneOf

__all__ = ["DataConfig", "ReaderField", "TransformField", "event_loader"]

ReaderField = Annotated[
    ReaderConfig, OneOf(PilarnetConfig, LarcvRootConfig, LarcvHdf5Config, VoxelsConfig, SampleConfig)
]
TransformField = Annotated[
    TransformConfig,
    OneOf(
        MergeDuplicatesConfig,
        EnergyThresholdConfig,
        LogEnergyConfig,
        CropConfig,
        FlipConfig,
        PermuteAxesConfig,
        TranslateConfig,
        ScaleEnergyConfig,
    ),
]


class DataConfig(Config):
    """Section `data` of a chain."""

    train: ReaderField | None = Field(None, description="events to train on")
    validation: ReaderField | None = Field(None, description="events that choose the best checkpoint")
    test: ReaderField | None = Field(None, description="events to predict and evaluate")
    transforms: tuple[TransformField, ...] = Field((), description="applied to every event, in this order")
    augment: tuple[TransformField, ...] = Field(
        (), description="applied before `transforms`, to training events only; random in every epoch"
    )
    batch: BatchConfig = Field(default_factory=lambda: BatchConfig(events=16))
    workers: int | Literal["auto"] = Field(
        "auto", description="processes that read ahead; auto: none on a CPU, up to 8 for a GPU"
    )
    on_bad_event: Literal["fail", "skip"] = Field(
        "fail", description="fail: a broken event stops the job; skip: it is logged, counted and left empty"
    )

    def num_workers(self, device: str) -> int:
        """Reader processes for a device (`cpu` or `cuda`)."""
        if self.workers != "auto":
            return self.workers
        return min(8, os.cpu_count() or 1) if device == "cuda" else 0

    def transform_list(self, *, training: bool) -> list[Transform]:
        """The transforms of one use, augmentations first."""
        chosen = (*self.augment, *self.transforms) if training else self.transforms
        return [config.build() for config in chosen]


def event_loader(dataset: EventDataset, sampler: EventBatchSampler, *, num_workers: int) -> DataLoader[Event]:
    """A loader that gives `Batch` values in the order of the sampler."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_without_events,
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
    )


def _without_events(events: Sequence[Event]) -> Batch:
    """Training needs no numpy events; they would only travel between processes."""
    return collate(events).without_events()

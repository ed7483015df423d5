"""Section `data` of a chain, and the loaders made of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeInt, field_validator
from torch.utils.data import DataLoader

from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.camera.frames_reader import FramesConfig
from lartpc_sparse.data.dataset import EventDataset, bad_event_reason
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.overlay import Overlay
from lartpc_sparse.data.readers import (
    ColumnsConfig,
    LarcvHdf5Config,
    LarcvRootConfig,
    LardripConfig,
    PilarnetConfig,
    Reader,
    ReaderConfig,
    SampleConfig,
    SpineConfig,
    VoxelsConfig,
)
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler
from lartpc_sparse.data.transforms import (
    CropConfig,
    DeadRegionsConfig,
    EnergyThresholdConfig,
    FlipConfig,
    JitterConfig,
    LogEnergyConfig,
    MaskConfig,
    MergeDuplicatesConfig,
    PermuteAxesConfig,
    RandomVoxelLossConfig,
    Rotate90Config,
    ScaleEnergyConfig,
    SignificanceConfig,
    SmearEnergyConfig,
    Transform,
    TransformConfig,
    TranslateConfig,
)
from lartpc_sparse.jobs import end_readers_with_the_job, leave_signals_to_the_job
from lartpc_sparse.schema import Config, OneOf, UserError

__all__ = ["DataConfig", "OverlayConfig", "ReaderField", "TransformField", "event_loader"]

ReaderField = Annotated[
    ReaderConfig,
    OneOf(
        PilarnetConfig,
        LarcvRootConfig,
        LarcvHdf5Config,
        SpineConfig,
        LardripConfig,
        VoxelsConfig,
        ColumnsConfig,
        FramesConfig,
        SampleConfig,
    ),
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
        Rotate90Config,
        JitterConfig,
        SmearEnergyConfig,
        RandomVoxelLossConfig,
        MaskConfig,
        DeadRegionsConfig,
        SignificanceConfig,
    ),
]

Use = Literal["train", "validation", "test"]


class OverlayConfig(Config):
    """Other events laid over an event: pile-up. Deterministic in (seed, epoch, event); see `data.overlay`."""

    count: tuple[NonNegativeInt, NonNegativeInt] = Field(
        (1, 1), description="[least, most] events that are added, each number with equal probability"
    )
    probability: float = Field(0.5, ge=0, le=1, description="of an overlay at all, for each event")
    reader: ReaderField | None = Field(
        None, description="source of the added events; null: the events that they are laid over"
    )
    priority: tuple[str, ...] = Field(
        (), description="class names, the first one wins a voxel in common; see merge_duplicates"
    )
    id_columns: tuple[str, ...] = Field(
        (), description="further columns whose numbers must be kept apart, beside instance, group, track_id, ..."
    )
    use: tuple[Use, ...] = Field(
        ("train",), min_length=1, description="which of data.train, data.validation and data.test get overlays"
    )

    @field_validator("count")
    @classmethod
    def _ordered(cls, count: tuple[int, int]) -> tuple[int, int]:
        if count[0] > count[1]:
            raise ValueError(f"{list(count)}: the first must not be above the last")
        return count

    def build(self, base: Reader) -> Overlay:
        """The overlay on the events of `base`.

        Raises:
            UserError: the other reader's images or classes differ, or it has too few events.
        """
        other = base if self.reader is None else self.reader.build()
        for name in ("image_size", "classes"):
            if getattr(other, name) != getattr(base, name):
                raise UserError(
                    f"data.overlay.reader has {name} {getattr(other, name)}, but the events it is laid over have "
                    f"{getattr(base, name)}; overlay events of one kind"
                )
        return Overlay(
            reader=other,
            count=self.count,
            probability=self.probability,
            same=self.reader is None,
            priority=self.priority,
            id_columns=self.id_columns,
        )


class DataConfig(Config):
    """Section `data` of a chain."""

    train: ReaderField | None = Field(None, description="events to train on")
    validation: ReaderField | None = Field(None, description="events that choose the best checkpoint")
    test: ReaderField | None = Field(None, description="events to predict and evaluate")
    transforms: tuple[TransformField, ...] = Field((), description="applied to every event, in this order")
    augment: tuple[TransformField, ...] = Field(
        (), description="applied before `transforms`, to training events only; random in every epoch"
    )
    overlay: OverlayConfig | None = Field(None, description="lay events over one another, before `augment`")
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

    def overlay_on(self, reader: Reader, use: Use) -> Overlay | None:
        """What is laid over the events of a reader, None for nothing.

        Raises:
            UserError: see `OverlayConfig.build`.
        """
        return self.overlay.build(reader) if self.overlay is not None and use in self.overlay.use else None

    def transform_list(self, *, training: bool) -> list[Transform]:
        """The transforms of one use, augmentations first."""
        chosen = (*self.augment, *self.transforms) if training else self.transforms
        return [config.build() for config in chosen]


def event_loader(dataset: EventDataset, sampler: EventBatchSampler, *, num_workers: int) -> DataLoader[Event]:
    """A loader that gives `Batch` values in the order of the sampler."""
    end_readers_with_the_job()
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=_without_events,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        worker_init_fn=leave_signals_to_the_job,
        pin_memory=torch.cuda.is_available(),
    )


def _without_events(events: Sequence[Event]) -> Batch:
    """Training needs no numpy events; they would only travel between processes."""
    skipped = sum(bad_event_reason(event) is not None for event in events)
    return replace(collate(events).without_events(), skipped=skipped)

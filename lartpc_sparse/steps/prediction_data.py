"""Events for prediction: as they are in the file, as the network sees them, and with masked regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64
from torch.utils.data import DataLoader, Dataset

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.batch import Batch, collate
from lartpc_sparse.data.dataset import EventDataset, bad_event_reason, event_rng
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.sampler import BatchConfig, counts_for, pack_events
from lartpc_sparse.data.transforms import Transform
from lartpc_sparse.jobs import end_readers_with_the_job, leave_signals_to_the_job

__all__ = ["PredictionBatch", "PredictionData", "PredictionDataset", "Views", "join_views", "prediction_data"]

_VIEW_POSITION = 1_000_000
"""Place of the view in the chain of random generators: far behind all transforms."""


@dataclass(frozen=True)
class Views:
    """One event in up to three forms.

    Attributes:
        raw: as in the file.
        plain: transformed.
        masked: transformed, with masked regions; None when no head asks for it.
        bad: why the event was skipped, None for a good one.
    """

    raw: Event
    plain: Event
    masked: Event | None
    bad: str | None


class PredictionDataset(Dataset[Views]):
    """The views of event (epoch, index); `epoch` is 0 in prediction, so masks are the same in every run."""

    def __init__(self, events: EventDataset, view: Transform | None, seed: int) -> None:
        self.events = events
        self.view = view
        self.seed = seed

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, where: tuple[int, int]) -> Views:
        raw, plain = self.events.read_pair(where)
        masked = None
        if self.view is not None:
            masked = self.view(plain, event_rng(self.seed, *where, _VIEW_POSITION))
        return Views(raw, plain, masked, bad_event_reason(plain))


@dataclass(frozen=True)
class PredictionBatch:
    """Events of one forward pass in their three forms."""

    events: tuple[Views, ...]
    plain: Batch
    masked: Batch | None


def join_views(events: Sequence[Views]) -> PredictionBatch:
    """Collate each form."""
    masked = [views.masked for views in events if views.masked is not None]
    return PredictionBatch(
        tuple(events), collate([views.plain for views in events]), collate(masked) if masked else None
    )


@dataclass(frozen=True)
class PredictionData:
    """The events of one use, and how they are read and grouped.

    Attributes:
        events: what is read; `events.reader` is its source.
        views: the events in their forms.
        batch: size of a batch.
        workers: processes that read ahead.
    """

    events: EventDataset
    views: PredictionDataset
    batch: BatchConfig
    workers: int

    def counts(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event where batches are packed by voxels, else zeros."""
        return counts_for(self.events, self.batch)

    def loader(self, counts: Int64[np.ndarray, " E"], first: int = 0, stop: int | None = None) -> DataLoader[Views]:
        """Batches (`PredictionBatch`) of the events first..stop-1, in their order.

        Args:
            counts: from `counts`.
            first: first event.
            stop: the event behind the last one; None: all to the end.
        """
        order = np.arange(first, len(self.events) if stop is None else stop, dtype=np.int64)
        batches, _ = pack_events(order, counts, self.batch)
        end_readers_with_the_job()
        return DataLoader(
            self.views,
            batch_sampler=[[(0, event) for event in events] for events in batches],
            collate_fn=join_views,
            num_workers=self.workers,
            worker_init_fn=leave_signals_to_the_job,
        )


def prediction_data(
    config: ChainConfig, use: Literal["validation", "test"], device: str, batch: BatchConfig
) -> PredictionData:
    """The events of `data.validation` or `data.test` for a network that is not trained on them.

    Raises:
        UserError: files that cannot be read.
    """
    assert config.model is not None
    source = getattr(config.data, use)
    assert source is not None
    reader = source.build()
    events = EventDataset(
        reader,
        config.data.transform_list(training=False),
        seed=config.run.seed,
        on_bad_event=config.data.on_bad_event,
        overlay=config.data.overlay_on(reader, use),
    )
    masking = config.model.masking_head
    view = None if masking is None else config.model.heads[masking].inference_view()
    views = PredictionDataset(events, view, config.run.seed)
    return PredictionData(events, views, batch, config.data.num_workers(device))

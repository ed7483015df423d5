"""Which events make a batch: packed by count or by a voxel budget, a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64
from pydantic import Field, PositiveInt, model_validator
from torch.utils.data import Sampler

from lartpc_sparse.data.rank_shares import imbalance, shared_batches
from lartpc_sparse.schema import Config, UserError

__all__ = ["BatchConfig", "CountedEvents", "EventBatchSampler", "counts_for", "pack_events"]


class BatchConfig(Config):
    """Size of a batch on one device; exactly one of the two is given."""

    events: PositiveInt | None = Field(default=None, description="events a batch")
    max_voxels: PositiveInt | None = Field(
        default=None,
        description="voxels a batch at most, counted in the file before transforms; "
        "an event larger than this is a batch of its own",
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> BatchConfig:
        if (self.events is None) == (self.max_voxels is None):
            raise ValueError("give exactly one of events (a count) and max_voxels (a voxel budget)")
        return self


@runtime_checkable
class CountedEvents(Protocol):
    """Events whose voxels can be counted: a reader or a data set."""

    def __len__(self) -> int:
        """Number of events E."""
        ...

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event."""
        ...


def counts_for(events: CountedEvents, batch: BatchConfig) -> Int64[np.ndarray, " E"]:
    """Voxels of every event where batches are packed by voxels; zeros where nobody needs to count them.

    Raises:
        UserError: see `Reader.num_voxels`.
    """
    return np.zeros(len(events), dtype=np.int64) if batch.max_voxels is None else events.num_voxels()


def pack_events(
    order: Int64[np.ndarray, " n"], counts: Int64[np.ndarray, " E"], batch: BatchConfig
) -> tuple[list[list[int]], bool]:
    """Cut a sequence of events into batches, keeping the order.

    With a voxel budget a batch takes events until the next one would exceed it. An empty event counts as one
    voxel there, so that a batch cannot grow without end.

    Args:
        order: event numbers.
        counts: voxels of each event, indexed by event number.
        batch: size of a batch.

    Returns:
        The batches, and whether the last one is full (no further event was left out of it for lack of events).
    """
    if batch.events is not None:
        size = batch.events
        batches = [order[first : first + size].tolist() for first in range(0, len(order), size)]
        return batches, not batches or len(batches[-1]) == size
    assert batch.max_voxels is not None
    ends = np.cumsum(np.maximum(counts[order], 1))
    batches = []
    first, used = 0, 0
    while first < len(order):
        stop = max(int(np.searchsorted(ends, used + batch.max_voxels, side="right")), first + 1)
        batches.append(order[first:stop].tolist())
        full = int(ends[stop - 1]) - used >= batch.max_voxels
        first, used = stop, int(ends[stop - 1])
    return batches, not batches or full


class EventBatchSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index) for DataLoader's `batch_sampler`, with EventDataset.

    Batches are a function of (seed, epoch) alone, so a resumed run sees what an uninterrupted one would.
    With several ranks, a batch of all of them is divided so that each has about as many voxels (`rank_shares`): every
    rank has the same number of batches, every event comes exactly once over all ranks, and a rank that gets no event
    of the last batch gets `filler` instead. `drop_last` drops a last batch that is not full.

    Args:
        counts: voxels of each event, `counts_for(events, batch)`; with several ranks always the true ones.
        batch: size of a batch on one rank.
        shuffle: another order in each epoch, else the order of the reader.
        seed: of the order.
        rank: of this process.
        world_size: number of processes.
        drop_last: see above.
        filler: event number for a rank that has none.

    Raises:
        ValueError: negative counts, seed or rank; rank not below world_size.
    """

    def __init__(
        self,
        counts: Int64[np.ndarray, " E"],
        batch: BatchConfig,
        *,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        filler: int = -1,
    ) -> None:
        if len(counts) and counts.min() < 0:
            raise ValueError(f"event {int(counts.argmin())} has {int(counts.min())} voxels")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is not in 0..{world_size - 1}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self._counts = counts
        self._batch = batch
        self._shuffle = shuffle
        self._seed = seed
        self._rank = rank
        self._world_size = world_size
        self._drop_last = drop_last
        self._filler = filler
        self._epoch = 0
        self._start_batch = 0
        self._packed: tuple[int, list[list[int]]] | None = None

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Choose the epoch of the next iterations; the first `start_batch` batches are left out of them.

        Raises:
            ValueError: a negative epoch, or a start beyond the end of the epoch.
        """
        if epoch < 0:
            raise ValueError(f"epoch must not be negative, got {epoch}")
        if not 0 <= start_batch <= self.num_batches(epoch):
            raise ValueError(f"start_batch {start_batch} is not in 0..{self.num_batches(epoch)} of epoch {epoch}")
        self._epoch = epoch
        self._start_batch = start_batch

    def __len__(self) -> int:
        """Batches of the current epoch on this rank, those before `start_batch` included."""
        return self.num_batches(self._epoch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self._epoch
        for events in self.batches(epoch)[self._start_batch :]:
            yield [(epoch, index) for index in events]

    def num_batches(self, epoch: int) -> int:
        """Number of batches of an epoch on this rank."""
        return len(self.batches(epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """The events of each batch of an epoch on this rank.

        Raises:
            UserError: `drop_last` leaves no batch at all.
        """
        if self._packed is None or self._packed[0] != epoch:
            self._packed = (epoch, self._share(epoch))
        return self._packed[1]

    def imbalance(self, epoch: int) -> float:
        """Voxels of the fullest rank over those of the mean rank in an epoch, see `rank_shares.imbalance`."""
        return imbalance(self._shared(epoch), self._counts)

    def _share(self, epoch: int) -> list[list[int]]:
        number = len(self._counts)
        if self._world_size > 1:
            batches = [shares[self._rank] or [self._filler] for shares in self._shared(epoch)]
        else:
            batches, last_is_full = pack_events(self._order(epoch), self._counts, self._batch)
            batches = batches[:-1] if self._drop_last and not last_is_full else batches
        if self._drop_last and number and not batches:
            raise UserError(
                f"{number} events do not fill one batch ({self._batch}) on each of {self._world_size} ranks; "
                "set drop_last: false or make batches smaller"
            )
        return batches

    def _shared(self, epoch: int) -> list[list[list[int]]]:
        """The batches of an epoch, each as the shares of all ranks."""
        size, order = self._batch, self._order(epoch)
        batches = shared_batches(order, self._counts, self._world_size, events=size.events, max_voxels=size.max_voxels)
        if not (self._drop_last and batches):
            return batches
        last = [event for share in batches[-1] for event in share]
        voxels = int(np.maximum(self._counts[last], 1).sum())
        wanted, found = (size.events, len(last)) if size.events is not None else (size.max_voxels or 0, voxels)
        return batches if found >= wanted * self._world_size else batches[:-1]

    def _order(self, epoch: int) -> Int64[np.ndarray, " E"]:
        number = len(self._counts)
        return _shuffled(number, self._seed, epoch) if self._shuffle else np.arange(number, dtype=np.int64)


def _shuffled(number: int, seed: int, epoch: int) -> Int64[np.ndarray, " E"]:
    # The second counter word keeps this stream apart from those of event_rng, where it is 0.
    stream = np.random.Philox(
        key=np.array([seed, epoch], dtype=np.uint64), counter=np.array([0, 1, 0, 0], dtype=np.uint64)
    )
    return np.random.Generator(stream).permutation(number)

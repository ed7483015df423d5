"""The largest batch of a step, tried out: seconds, memory, and what the results weigh."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.pipeline import event_loader
from lartpc_sparse.data.sampler import EventBatchSampler, pack_events
from lartpc_sparse.jobs import forget_peak_memory, free_memory_bytes, memory_limited, peak_memory_bytes
from lartpc_sparse.network import Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.predict_batch import AUTOCAST, predict_batch
from lartpc_sparse.steps.prediction_data import PredictionData
from lartpc_sparse.steps.setup import choose_device, choose_engine, training_dataset
from lartpc_sparse.train.optimizers import build_optimizer

__all__ = ["Trial", "try_prediction", "try_training"]

_NO_MEMORY = ("out of memory", "can't allocate memory", "bad_alloc")


@dataclass(frozen=True)
class Trial:
    """What the largest batch of a step took.

    Attributes:
        events, voxels: of the batch, counted in the file.
        all_events, all_voxels: of the step, all epochs included.
        batches: of the step.
        seconds: of the batch.
        peak_memory: bytes of the process, by `host` and `gpu`.
        result_bytes: that the step writes for all its events, about.
    """

    events: int
    voxels: int
    all_events: int
    all_voxels: int
    batches: int
    seconds: float
    peak_memory: dict[str, int]
    result_bytes: int

    @property
    def all_seconds(self) -> float:
        """Of the whole step, if all voxels take as long as those of the batch."""
        return self.seconds * self.all_voxels / self.voxels


def try_training(config: ChainConfig) -> Trial:
    """One step on the largest batch of all epochs, the optimiser's state and average weights included.

    Raises:
        UserError: no events, or no memory for the batch.
    """
    assert config.train is not None
    assert config.model is not None
    assert config.data.train is not None
    train, device = config.train, choose_device(config.run)
    events = training_dataset(config, config.data.train, training=True)
    if config.data.validation is not None:
        training_dataset(config, config.data.validation, training=False)
    if not len(events):
        raise UserError("data.train has no events")
    counts = np.maximum(events.num_voxels(), 1)
    sampler = EventBatchSampler(counts, config.data.batch, shuffle=True, seed=config.run.seed)
    sizes = [[int(counts[batch].sum()) for batch in sampler.batches(epoch)] for epoch in range(train.epochs)]
    epoch = max(range(train.epochs), key=lambda epoch: max(sizes[epoch]))
    number = sizes[epoch].index(max(sizes[epoch]))
    sampler.set_epoch(epoch, number)
    chosen = sampler.batches(epoch)[number]
    network = Network(config.model, choose_engine(config.run).engine).to(device)
    optimizer = build_optimizer(train.optimizer, network)
    average = [] if train.average is None else [value.clone() for value in network.state_dict().values()]

    def step() -> None:
        batch: Batch = next(iter(event_loader(events, sampler, num_workers=0)))
        batch = batch.to(device)
        optimizer.zero_grad()
        with torch.autocast(device, AUTOCAST.get(train.precision), enabled=train.precision in AUTOCAST):
            loss = torch.stack(list(network.loss(network(batch), batch).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    voxels = int(counts[chosen].sum())
    seconds, peak = _measured("train", step, f"{len(chosen)} events with {voxels:,} voxels", device)
    del average  # it counted while the step ran
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    state = sum(
        value.nbytes
        for values in optimizer.state.values()
        for value in values.values()
        if isinstance(value, torch.Tensor)
    )
    checkpoint = weights * (1 if train.average is None else 2) + state
    total = train.epochs * int(counts.sum())
    return Trial(
        len(chosen),
        voxels,
        train.epochs * len(events),
        total,
        sum(map(len, sizes)),
        seconds,
        peak,
        4 * checkpoint,  # best, last and previous checkpoint and a partial one
    )


def try_prediction(config: ChainConfig, data: PredictionData, predictor: Predictor, part_events: int) -> Trial:
    """The largest batch of all parts of a prediction.

    Args:
        config: the chain.
        data: its events, at least one.
        predictor: the networks.
        part_events: events of a part.

    Raises:
        UserError: no memory for the batch.
    """
    assert config.predict is not None
    section, counts, total = config.predict, np.maximum(data.events.num_voxels(), 1), len(data.events)
    batches = [
        batch
        for first in range(0, total, part_events)
        for batch in pack_events(np.arange(first, min(first + part_events, total)), counts, data.batch)[0]
    ]
    chosen = max(batches, key=lambda batch: int(counts[batch].sum()))
    sizes = [0]

    def step() -> None:
        group = next(iter(data.loader(counts, chosen[0], chosen[-1] + 1)))
        found = list(predict_batch(predictor, group, section))
        sizes[0] = sum(
            array.nbytes
            for one in found
            for array in (one.coords, one.energy, *one.truth.values(), *one.columns.values())
        )

    voxels, all_voxels = int(counts[chosen].sum()), int(counts.sum())
    device = choose_device(config.run)
    seconds, peak = _measured("predict", step, f"{len(chosen)} events with {voxels:,} voxels", device)
    written = 2 * sizes[0] * all_voxels // voxels  # parts and the joined file, before packing
    return Trial(len(chosen), voxels, total, all_voxels, len(batches), seconds, peak, written)


def _measured(name: str, step: Callable[[], None], batch: str, device: str) -> tuple[float, dict[str, int]]:
    """Seconds of the second call, as the first one also allocates, compiles and tunes; and the peak memory of both.

    Raises:
        UserError: there is not enough memory.
    """
    forget_peak_memory()
    free, seconds = free_memory_bytes(), 0.0
    try:
        # A GPU's driver maps far more of the host's memory than it takes: a limit on that would say nothing.
        with memory_limited(free.get("host") if device == "cpu" else None):
            for _ in range(2):
                begin = time.monotonic()
                step()
                if device == "cuda":
                    torch.cuda.synchronize()
                seconds = time.monotonic() - begin
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(text in str(error) for text in _NO_MEMORY):
            raise
        held = ", ".join(f"{place} {size / 2**20:,.0f} MiB" for place, size in free.items())
        raise UserError(
            f"{name}: the largest batch, {batch}, does not fit into the memory that is free here ({held}); make "
            "data.batch or the model smaller, crop the events, or ask for more memory"
        ) from error
    return seconds, peak_memory_bytes()

"""A chain tried out before it is queued: configuration, files, disk, device, and time and memory from one batch."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.batch import Batch
from lartpc_sparse.data.dataset import EventDataset
from lartpc_sparse.data.pipeline import event_loader
from lartpc_sparse.data.sampler import BatchConfig, EventBatchSampler, counts_for
from lartpc_sparse.jobs import OutputError, peak_memory_bytes
from lartpc_sparse.network import Network
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.load_network import load_predictor
from lartpc_sparse.steps.predict_batch import predict_batch
from lartpc_sparse.steps.prediction_data import prediction_data
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.steps.setup import (
    check_precision,
    choose_device,
    choose_engine,
    set_matmul_precision,
    set_threads,
    training_dataset,
)

__all__ = ["Estimate", "dry_run"]


@dataclass(frozen=True)
class Estimate:
    """What a step will take.

    Attributes:
        step: its name.
        what: what was looked at.
        seconds: of the whole step, None: unknown.
        disk_bytes: that it writes, about.
    """

    step: str
    what: str
    seconds: float | None = None
    disk_bytes: int = 0


def dry_run(config: ChainConfig, only: Sequence[str] = (), simulation: ChainConfig | None = None) -> list[Estimate]:
    """Check a chain and print what it will take; nothing is written but a probe of the output directory.

    Times are those of one batch (the second one that is tried) times the number of batches, on this machine and with
    one rank; reading ahead and validation are not counted.

    Args:
        config: the chain.
        only: names of the steps to look at; all when empty.
        simulation: another chain that makes its events, such as that of all variants.

    Raises:
        UserError: whatever would stop the chain: files, device, precision, disk.
    """
    device, threads, choice = choose_device(config.run), set_threads(config.run), choose_engine(config.run)
    set_matmul_precision(device)
    for step in ("train", "predict"):
        if (section := getattr(config, step)) is not None:
            check_precision(step, section.precision, device)
    console = Console()
    console.print(
        f"dry run of {config.run.name}: device {device}, {threads} CPU threads, {choice.reason}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    tried: dict[str, Callable[[ChainConfig], Estimate]] = {"train": _train, "predict": _predict}
    if _is_to_simulate(config) or (simulation is not None and _is_to_simulate(simulation)):
        tried = dict.fromkeys(tried, _waiting)
    estimates = [
        replace(tried[step](config), step=step) if step in tried else Estimate(step, "not tried")
        for step in config.steps
        if not only or step in only
    ]
    free = _free_disk(config.run.output_dir)
    console.print(_table(estimates))
    memory = ", ".join(f"{name} {size / 2**20:,.0f} MiB" for name, size in peak_memory_bytes().items())
    console.print(f"peak memory: {memory}; free disk: {free / 1e9:,.1f} GB in {config.run.output_dir}", soft_wrap=True)
    needed = sum(estimate.disk_bytes for estimate in estimates)
    if needed > free:
        raise OutputError(
            f"{config.run.output_dir} has {free / 1e9:.1f} GB free, the chain writes about {needed / 1e9:.1f} GB; make "
            "room, or choose another run.output_dir"
        )
    return estimates


def _is_to_simulate(config: ChainConfig) -> bool:
    return config.simulate is not None and not RunFolder(config).simulation_summary.exists()


def _waiting(config: ChainConfig) -> Estimate:
    del config
    return Estimate("", "not tried: the events are not simulated yet")


def _free_disk(folder: Path) -> int:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    probe = folder / ".lartpc_sparse-dry-run"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error}") from error
    return shutil.disk_usage(folder).free


def _second(action: Callable[[], object]) -> float:
    """Seconds of the second call: the first one also allocates, compiles and tunes."""
    seconds = 0.0
    for _ in range(2):
        begin = time.monotonic()
        action()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.monotonic() - begin
    return seconds


def _batches(events: EventDataset, batch: BatchConfig, seed: int) -> EventBatchSampler:
    return EventBatchSampler(counts_for(events, batch), batch, shuffle=True, seed=seed)


def _train(config: ChainConfig) -> Estimate:
    assert config.train is not None
    assert config.model is not None
    assert config.data.train is not None
    device = choose_device(config.run)
    events = training_dataset(config, config.data.train, training=True)
    if config.data.validation is not None:
        training_dataset(config, config.data.validation, training=False)
    if not len(events):
        raise UserError("data.train has no events")
    network = Network(config.model, choose_engine(config.run).engine).to(device)
    sampler = _batches(events, config.data.batch, config.run.seed)

    def step() -> None:
        batch: Batch = next(iter(event_loader(events, sampler, num_workers=0)))
        batch = batch.to(device)
        network.zero_grad()
        torch.stack(list(network.loss(network(batch), batch).values())).sum().backward()  # type: ignore[no-untyped-call]

    seconds = _second(step)
    number = sampler.num_batches(0) * config.train.epochs
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return Estimate(
        "train",
        f"{len(events):,} events, {number:,} batches of {seconds:.3g} s, {weights / 1e6:.1f} MB of weights",
        seconds * number,
        disk_bytes=4 * 3 * weights,  # best, last and previous checkpoint and a partial one, with two moments
    )


def _predict(config: ChainConfig) -> Estimate:
    assert config.predict is not None
    assert config.model is not None
    device = choose_device(config.run)
    data = prediction_data(config, "test", device, config.predict.batch or config.data.batch)
    total = len(data.events)
    if not total:
        return Estimate("predict", "no events")
    folder = RunFolder(config)
    trained = all(path.exists() for path in folder.checkpoints)
    if not trained and config.train is None:
        load_predictor(config, folder, device)  # says what is missing
    untrained = Predictor((Network(config.model, choose_engine(config.run).engine).to(device).eval(),))
    predictor = load_predictor(config, folder, device) if trained else untrained
    sizes: list[int] = []
    counts = data.counts()

    def step() -> None:
        group = next(iter(data.loader(counts)))
        assert config.predict is not None
        found = list(predict_batch(predictor, group, config.predict))
        arrays = [
            array for one in found for array in (one.coords, one.energy, *one.truth.values(), *one.columns.values())
        ]
        sizes[:] = [sum(array.nbytes for array in arrays), len(found)]

    seconds = _second(step)
    per_event = seconds / sizes[1]
    return Estimate(
        "predict",
        f"{total:,} events of {per_event:.3g} s" + ("" if trained else " (untrained: the weights are made by train)"),
        per_event * total,
        disk_bytes=2 * sizes[0] * total // sizes[1],  # parts and the joined file, before packing
    )


def _table(estimates: list[Estimate]) -> Table:
    table = Table("step", "tried", "time, one rank", "disk")
    for one in estimates:
        duration = "" if one.seconds is None else str(timedelta(seconds=round(one.seconds)))
        table.add_row(one.step, one.what, duration, f"{one.disk_bytes / 1e6:,.0f} MB" if one.disk_bytes else "")
    return table

"""A chain tried out before it is queued: configuration, files, disk, device, and time and memory from one batch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.jobs import OutputError, free_memory_bytes, memory_bytes
from lartpc_sparse.network import Network
from lartpc_sparse.steps.averaged_outputs import Predictor
from lartpc_sparse.steps.load_network import load_predictor
from lartpc_sparse.steps.prediction_data import prediction_data
from lartpc_sparse.steps.prediction_parts import PredictionParts
from lartpc_sparse.steps.run_folder import RunFolder
from lartpc_sparse.steps.setup import (
    check_precision,
    choose_device,
    choose_engine,
    set_matmul_precision,
    set_threads,
)
from lartpc_sparse.steps.trial import try_prediction, try_training

__all__ = ["Estimate", "dry_run"]

_NEARLY_ALL = 0.8


@dataclass(frozen=True)
class Estimate:
    """What a step will take.

    Attributes:
        step: its name.
        what: what was looked at.
        seconds: of the whole step, None: unknown.
        disk_bytes: that it writes, about.
        peak_memory: bytes, by `host` and `gpu`.
    """

    step: str
    what: str
    seconds: float | None = None
    disk_bytes: int = 0
    peak_memory: Mapping[str, int] = field(default_factory=dict)


def dry_run(config: ChainConfig, only: Sequence[str] = (), simulation: ChainConfig | None = None) -> list[Estimate]:
    """Check a chain and print what it will take; nothing is written but a probe of the output directory.

    The largest batch of a step is tried, twice: training with the optimiser and its state. It gives the peak memory,
    and the time of a voxel, with which all voxels are multiplied; on this machine and with one rank, reading ahead and
    validation not counted.

    Args:
        config: the chain.
        only: names of the steps to look at; all when empty.
        simulation: another chain that makes its events, such as that of all variants.

    Raises:
        UserError: whatever would stop the chain: files, device, precision, disk, memory.
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
    free_now, held = free_memory_bytes(), memory_bytes()
    memory = {place: size + held.get(place, 0) for place, size in free_now.items()}
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
    console.print(
        f"memory for this process: {_sizes(memory) or 'unknown'}; free disk: {free / 1e9:,.1f} GB in "
        f"{config.run.output_dir}",
        markup=False,
        soft_wrap=True,
    )
    for warning in _tight(estimates, memory):
        console.print(warning, style="yellow", markup=False, soft_wrap=True)
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


def _train(config: ChainConfig) -> Estimate:
    trial = try_training(config)
    return Estimate(
        "train",
        f"{trial.batches:,} batches; the largest, {trial.events:,} events with {trial.voxels:,} voxels: "
        f"{trial.seconds:.3g} s",
        trial.all_seconds,
        trial.result_bytes,
        trial.peak_memory,
    )


def _predict(config: ChainConfig) -> Estimate:
    assert config.predict is not None
    assert config.model is not None
    device, batch = choose_device(config.run), config.predict.batch or config.data.batch
    data = prediction_data(config, "test", device, batch)
    if not len(data.events):
        return Estimate("predict", "no events")
    folder = RunFolder(config)
    trained = all(path.exists() for path in folder.checkpoints)
    if trained or config.train is None:
        predictor = load_predictor(config, folder, device)  # without a training, it says what is missing
    else:
        predictor = Predictor((Network(config.model, choose_engine(config.run).engine).to(device).eval(),))
    parts = PredictionParts(folder.predictions, "", len(data.events), batch.events or 1, config.predict.part_events)
    trial = try_prediction(config, data, predictor, parts.size)
    return Estimate(
        "predict",
        f"{trial.all_events:,} events; the largest batch, {trial.events:,} with {trial.voxels:,} voxels: "
        f"{trial.seconds:.3g} s" + ("" if trained else " (untrained: the weights are made by train)"),
        trial.all_seconds,
        trial.result_bytes,
        trial.peak_memory,
    )


def _table(estimates: list[Estimate]) -> Table:
    table = Table("step", "tried", "time, one rank", "peak memory", "disk")
    for one in estimates:
        duration = "" if one.seconds is None else str(timedelta(seconds=round(one.seconds)))
        disk = f"{one.disk_bytes / 1e6:,.0f} MB" if one.disk_bytes else ""
        table.add_row(one.step, one.what, duration, _sizes(one.peak_memory), disk)
    return table


def _sizes(memory: Mapping[str, int]) -> str:
    return ", ".join(f"{place} {size / 2**20:,.0f} MiB" for place, size in memory.items() if size)


def _tight(estimates: list[Estimate], whole: Mapping[str, int]) -> list[str]:
    """Warnings where a peak comes near to all there is."""
    return [
        f"warning: {one.step} takes {size / 2**20:,.0f} MiB of the {whole[place] / 2**20:,.0f} MiB of {place} memory "
        "that this process can have; processes that read ahead and other events need some more"
        for one in estimates
        for place, size in one.peak_memory.items()
        if place in whole and size > _NEARLY_ALL * whole[place]
    ]

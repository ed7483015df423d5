"""Runs the steps of a chain in their order; a finished step is not repeated unless its inputs changed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from lightning.fabric.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.logging import RichHandler

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.jobs import EventLog, Ranks, Shard, StepFigures, joined, launched, note, peak_memory_bytes, running
from lartpc_sparse.report import write_report
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps import RunFolder, run_evaluation, run_prediction, run_simulation, run_training, run_tuning
from lartpc_sparse.steps.fill_step import on_filled_events, run_filling
from lartpc_sparse.steps.metrics_table import metrics_table
from lartpc_sparse.steps.run_folder import fingerprint, write_text
from lartpc_sparse.steps.setup import check_precision, choose_device, choose_engine, set_threads, slow_precision
from lartpc_sparse.steps.step_inputs import step_inputs
from lartpc_sparse.steps.tune_step import tuned_chain
from lartpc_sparse.yaml_config import dump_config

__all__ = ["STEPS", "run_chain"]

STEPS = ("simulate", "train", "tune", "inpaint", "predict", "evaluate", "report")

_AFTER_TUNING = STEPS[STEPS.index("tune") + 1 :]


def run_chain(
    config: ChainConfig, *, only: Sequence[str] = (), force: bool = False, shard: Shard | None = None
) -> None:
    """Run the steps whose sections the chain has, on all ranks that a launcher started.

    Args:
        config: the chain.
        only: run these steps alone; empty: all.
        force: repeat steps that are done.
        shard: predict only this share of the parts and end; with `only=("predict",)`.

    Raises:
        UserError: an unknown step, one without a section, or anything that the user can put right.
        Stopped: the batch system wants its machine back.
    """
    wanted = _wanted(config, only)
    if shard is not None and wanted != ["predict"]:
        raise UserError("--shard goes with --only predict: the other steps are not divided")
    folder = RunFolder(config)
    config_yaml = dump_config(config)
    if not launched() and getattr(rank_zero_only, "rank", 0) != 0:  # started by Lightning for one of several GPUs
        _join_training(config, folder, config_yaml, wanted)
        return
    with joined(config.run.device) as ranks:
        console = Console(quiet=not ranks.first)
        _log_to_terminal(ranks)
        with running(folder.root, ranks, shard) as log:
            _set_up(console, config, folder, wanted, ranks)
            if shard is None:
                ranks.on_first(lambda: write_text(folder.config_file, config_yaml))
            _run_steps(_Job(ranks, shard, console, log, force), config, folder, wanted)
            _finish(console, folder, wanted)


@dataclass(frozen=True)
class _Job:
    """How the steps are run."""

    ranks: Ranks
    shard: Shard | None
    console: Console
    log: EventLog
    force: bool


def _run_steps(job: _Job, config: ChainConfig, folder: RunFolder, wanted: list[str]) -> None:
    config_yaml = dump_config(config)
    for step in wanted:
        if config.tune is not None and step in _AFTER_TUNING:
            config = tuned_chain(config, folder)
            config_yaml = dump_config(config)
        inputs, before = job.ranks.on_first(partial(_state, step, config, folder))
        same = before.get("inputs") == inputs
        if same and before.get("status") == "done" and not job.force and _output(step, folder).exists():
            _say(job.console, f"{step}: done before, inputs unchanged ({_output(step, folder)})")
            continue
        if job.shard is None:
            job.ranks.on_first(partial(folder.mark, step, inputs, "running"))
        resume = same and before.get("status") == "running"
        note("step_started", step=step, resume=resume, inputs=inputs)
        began = time.monotonic()
        _run(step, job, config, folder, config_yaml, inputs=inputs, resume=resume)
        if job.shard is None:
            job.ranks.on_first(partial(folder.mark, step, inputs, "done"))
        _tell_end(job, step, time.monotonic() - began, folder)


def _state(step: str, config: ChainConfig, folder: RunFolder) -> tuple[str, dict[str, str]]:
    """Fingerprint of what a step depends on, and the record of its last run."""
    return fingerprint(step_inputs(step, config, folder)), folder.steps().get(step, {})


def _tell_end(job: _Job, step: str, seconds: float, folder: RunFolder) -> None:
    """The end of a step, with its speed and the memory it took: in the log of each rank, and of all on the terminal."""
    own = StepFigures.of_progress(job.log.ended.get(step, {}), peak_memory_bytes())
    together = StepFigures.together(job.ranks.of_all(own))
    of_all = {"all_ranks": together.record} if job.ranks.several and job.ranks.first else {}
    note("step_done", step=step, seconds=round(seconds, 3), **own.record, **of_all)
    what = f"part {job.shard}" if job.shard is not None else str(_output(step, folder))
    _say(job.console, f"{step}: wrote {what} ({timedelta(seconds=round(seconds))}, {together})")


def _finish(console: Console, folder: RunFolder, wanted: list[str]) -> None:
    if folder.metrics.exists() and {"evaluate", "report"} & set(wanted):
        console.print(metrics_table(json.loads(folder.metrics.read_text(encoding="utf-8"))))
    if "report" in wanted:
        _say(console, f"report: {folder.report.resolve()}")


def _join_training(config: ChainConfig, folder: RunFolder, config_yaml: str, wanted: list[str]) -> None:
    """What the further processes of a training on several devices do; the first one does everything else."""
    set_threads(config.run)
    if "train" in wanted and folder.steps().get("train", {}).get("status") == "running":
        run_training(config, folder, config_yaml, resume=True)


def _set_up(console: Console, config: ChainConfig, folder: RunFolder, wanted: list[str], ranks: Ranks) -> None:
    """What runs, and on what; why, where that is not the first choice.

    Raises:
        UserError: a device, an engine or a precision that cannot be had.
    """
    if wanted == ["simulate"]:
        _say(console, f"run {config.run.name} in {folder.root}: simulate")
        return
    device, threads = choose_device(config.run), set_threads(config.run, ranks)
    choice = choose_engine(config.run)
    precisions = {step: getattr(config, step).precision for step in wanted if step in ("train", "predict")}
    for step, precision in precisions.items():  # now, not after hours of training
        check_precision(step, precision, device)
    _say(
        console,
        f"run {config.run.name} in {folder.root}: {', '.join(wanted)}; {_ranks_text(ranks)}device {device}, "
        f"{threads} CPU threads, {choice.reason}",
    )
    if (note := slow_precision(precisions.values(), choice)) is not None:
        _say(console, note)


def _ranks_text(ranks: Ranks) -> str:
    return f"{ranks.size} ranks on {ranks.nodes} nodes, each: " if ranks.several else ""


def _say(console: Console, text: str) -> None:
    """One line as it is: user's text is not markup, and paths are not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _log_to_terminal(ranks: Ranks) -> None:
    logger = logging.getLogger("lartpc_sparse")
    if not any(isinstance(handler, RichHandler) for handler in logger.handlers):
        handler = RichHandler(console=Console(stderr=True), show_path=False, markup=False)
        handler.setLevel(logging.INFO if ranks.first else logging.WARNING)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _wanted(config: ChainConfig, only: Sequence[str]) -> list[str]:
    present = [step for step in STEPS if getattr(config, step) is not None]
    for step in only:
        if step not in STEPS:
            raise UserError(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")
        if step not in present:
            raise UserError(f"--only {step}: the chain has no section {step} (it has {', '.join(present) or 'none'})")
    if not present:
        raise UserError(f"the chain has none of the sections {', '.join(STEPS)}: there is nothing to do")
    return [step for step in present if not only or step in only]


def _output(step: str, folder: RunFolder) -> Path:
    return {
        "simulate": folder.simulation_summary,
        "train": folder.training,
        "tune": folder.tuned,
        "inpaint": folder.filled,
        "predict": folder.predictions,
        "evaluate": folder.metrics,
        "report": folder.report,
    }[step]


def _run(
    step: str, job: _Job, config: ChainConfig, folder: RunFolder, config_yaml: str, *, inputs: str, resume: bool
) -> None:
    """Train and predict are for all ranks; the others wait while the first one does the rest."""
    if step == "train":
        run_training(config, folder, config_yaml, resume=resume, ranks=job.ranks)
        return
    if step == "predict":
        run_prediction(
            on_filled_events(config, folder),
            folder,
            config_yaml,
            identity=inputs,
            ranks=job.ranks,
            shard=job.shard,
            repeat=job.force,
        )
        return
    actions: dict[str, Callable[[], object]] = {
        "simulate": lambda: run_simulation(config, folder, config_yaml, repeat=job.force),
        "tune": lambda: run_tuning(config, folder),
        "inpaint": lambda: run_filling(config, folder),
        "evaluate": lambda: run_evaluation(config, folder),
        "report": lambda: _report(config, folder, config_yaml),
    }

    def act() -> None:
        actions[step]()

    job.ranks.on_first(act)


def _report(config: ChainConfig, folder: RunFolder, config_yaml: str) -> None:
    assert config.report is not None
    assert config.model is not None
    evaluated = config.evaluate is not None or folder.metrics.exists()
    for needed, step in ((folder.predictions, "predict"), (folder.metrics, "evaluate")):
        if not needed.exists() and (step == "predict" or evaluated):
            raise UserError(f"the report needs {needed}; run the step {step} first")
    write_report(
        folder.report,
        title=config.run.name,
        metrics=folder.metrics if evaluated else None,
        classes={name: getattr(head, "classes", ()) for name, head in config.model.heads.items()},
        predictions=folder.predictions,
        training_log=folder.training_log if folder.training_log.exists() else None,
        config_yaml=config_yaml,
        config=config.report,
    )

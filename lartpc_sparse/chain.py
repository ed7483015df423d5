"""Runs the steps of a chain in their order; a finished step is not repeated unless its inputs changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from rich.console import Console
from rich.logging import RichHandler

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.report import write_report
from lartpc_sparse.schema import UserError
from lartpc_sparse.steps import RunFolder, run_evaluation, run_prediction, run_simulation, run_training, run_tuning
from lartpc_sparse.steps.fill_step import filling_inputs, on_filled_events, run_filling
from lartpc_sparse.steps.metrics_table import metrics_table
from lartpc_sparse.steps.run_folder import file_identity, fingerprint, weights_identity, write_text
from lartpc_sparse.steps.setup import check_precision, choose_device, choose_engine, set_threads, slow_precision
from lartpc_sparse.steps.tune_step import tuned_chain
from lartpc_sparse.weights import find_weights
from lartpc_sparse.yaml_config import dump_config

__all__ = ["STEPS", "run_chain"]

STEPS = ("simulate", "train", "tune", "inpaint", "predict", "evaluate", "report")

_AFTER_TUNING = STEPS[STEPS.index("tune") + 1 :]


def run_chain(config: ChainConfig, *, only: Sequence[str] = (), force: bool = False) -> None:
    """Run the steps whose sections the chain has.

    Args:
        config: the chain.
        only: run these steps alone; empty: all.
        force: repeat steps that are done.

    Raises:
        UserError: an unknown step, one without a section, or anything that the user can put right.
    """
    wanted = _wanted(config, only)
    folder = RunFolder(config)
    config_yaml = dump_config(config)
    if getattr(rank_zero_only, "rank", 0) != 0:  # set by Lightning from the launcher's environment
        _join_training(config, folder, config_yaml, wanted)
        return
    console = Console()
    _log_to_terminal()
    _set_up(console, config, folder, wanted)
    write_text(folder.config_file, config_yaml)
    for step in wanted:
        if config.tune is not None and step in _AFTER_TUNING:
            config = tuned_chain(config, folder)
            config_yaml = dump_config(config)
        inputs = fingerprint(_inputs(step, config, folder))
        before = folder.steps().get(step, {})
        same = before.get("inputs") == inputs
        if same and before.get("status") == "done" and not force and _output(step, folder).exists():
            _say(console, f"{step}: done before, inputs unchanged ({_output(step, folder)})")
            continue
        folder.mark(step, inputs, "running")
        resume = same and before.get("status") == "running"
        _run(step, config, folder, config_yaml, resume=resume, repeat=force)
        folder.mark(step, inputs, "done")
        _say(console, f"{step}: wrote {_output(step, folder)}")
    if folder.metrics.exists() and {"evaluate", "report"} & set(wanted):
        console.print(metrics_table(json.loads(folder.metrics.read_text(encoding="utf-8"))))
    if "report" in wanted:
        _say(console, f"report: {folder.report.resolve()}")


def _join_training(config: ChainConfig, folder: RunFolder, config_yaml: str, wanted: list[str]) -> None:
    """What the further processes of a training on several devices do; the first one does everything else."""
    set_threads(config.run)
    if "train" in wanted and folder.steps().get("train", {}).get("status") == "running":
        run_training(config, folder, config_yaml, resume=True)


def _set_up(console: Console, config: ChainConfig, folder: RunFolder, wanted: list[str]) -> None:
    """What runs, and on what; why, where that is not the first choice.

    Raises:
        UserError: a device, an engine or a precision that cannot be had.
    """
    if wanted == ["simulate"]:
        _say(console, f"run {config.run.name} in {folder.root}: simulate")
        return
    device, threads, choice = choose_device(config.run), set_threads(config.run), choose_engine(config.run)
    precisions = {step: getattr(config, step).precision for step in wanted if step in ("train", "predict")}
    for step, precision in precisions.items():  # now, not after hours of training
        check_precision(step, precision, device)
    _say(
        console,
        f"run {config.run.name} in {folder.root}: {', '.join(wanted)}; device {device}, {threads} CPU threads, "
        f"{choice.reason}",
    )
    if (note := slow_precision(precisions.values(), choice)) is not None:
        _say(console, note)


def _say(console: Console, text: str) -> None:
    """One line as it is: user's text is not markup, and paths are not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _log_to_terminal() -> None:
    logger = logging.getLogger("lartpc_sparse")
    if not logger.handlers:
        logger.addHandler(RichHandler(console=Console(stderr=True), show_path=False, markup=False))
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


def _inputs(step: str, config: ChainConfig, folder: RunFolder) -> dict[str, Any]:
    """Everything that the result of a step depends on, as JSON-ready values."""
    section = config.model_dump(mode="json")
    if step == "simulate":
        del section["simulate"]["processes"]
        assert config.simulate is not None
        files = [file_identity(Path(name)) for name in config.simulate.source.files()]
        return {"seed": config.simulation_seed, "simulate": section["simulate"], "files": files}
    data = section["data"]
    if step == "train":
        del data["test"], data["workers"]
        return {
            "seed": config.run.seed,
            "data": data,
            "model": _without_evaluation(section["model"]),
            "train": section.get("train"),
            "files": [_reader_files(config, "train"), _reader_files(config, "validation")],
            "overlay": _overlay_files(config, "train", "validation"),
            "weights": None if config.weights is None else weights_identity(find_weights(config.weights)),
        }
    if step == "tune":
        used = {name: data[name] for name in ("validation", "transforms", "overlay", "batch", "on_bad_event")}
        return {
            "seed": config.run.seed,
            "data": used,
            "model": _without_evaluation(section["model"]),
            "files": _reader_files(config, "validation"),
            "overlay": _overlay_files(config, "validation"),
            "checkpoint": weights_identity(folder.checkpoint),
        }
    if step == "inpaint":
        return filling_inputs(config, _reader_files(config, "test"))
    if step == "predict":
        used = {name: data[name] for name in ("test", "transforms", "overlay", "batch", "on_bad_event")}
        return {
            "seed": config.run.seed,
            "data": used,
            "model": _without_evaluation(section["model"]),
            "predict": section["predict"],
            "files": _reader_files(config, "test"),
            "overlay": _overlay_files(config, "test"),
            "filled": None if config.inpaint is None else file_identity(folder.filled),
            "checkpoints": [weights_identity(path) for path in folder.checkpoints],
        }
    return _result_inputs(step, section, folder)


def _result_inputs(step: str, section: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    if step == "evaluate":
        return {"predictions": file_identity(folder.predictions), "heads": section["model"]["heads"]}
    return {
        "report": section["report"],
        "metrics": file_identity(folder.metrics),
        "predictions": file_identity(folder.predictions),
        "log": file_identity(folder.training_log),
    }


def _without_evaluation(model: dict[str, Any]) -> dict[str, Any]:
    """The model without the options that act in the step evaluate alone."""
    heads = {
        name: {option: value for option, value in head.items() if option != "evaluate"}
        for name, head in model["heads"].items()
    }
    return {**model, "heads": heads}


def _reader_files(config: ChainConfig, part: str) -> list[Any]:
    return _files(getattr(config.data, part))


def _overlay_files(config: ChainConfig, *parts: str) -> list[Any]:
    overlay = config.data.overlay
    return [] if overlay is None or not set(parts) & set(overlay.use) else _files(overlay.reader)


def _files(reader: ReaderConfig | None) -> list[Any]:
    return [] if reader is None else [file_identity(Path(name)) for name in reader.build().files]


def _run(step: str, config: ChainConfig, folder: RunFolder, config_yaml: str, *, resume: bool, repeat: bool) -> None:
    actions: dict[str, Callable[[], object]] = {
        "simulate": lambda: run_simulation(config, folder, config_yaml, repeat=repeat),
        "train": lambda: run_training(config, folder, config_yaml, resume=resume),
        "tune": lambda: run_tuning(config, folder),
        "inpaint": lambda: run_filling(config, folder),
        "predict": lambda: run_prediction(on_filled_events(config, folder), folder, config_yaml),
        "evaluate": lambda: run_evaluation(config, folder),
        "report": lambda: _report(config, folder, config_yaml),
    }
    actions[step]()


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

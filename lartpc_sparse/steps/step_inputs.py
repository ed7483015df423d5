"""What the result of each step depends on: a step is not repeated unless it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.steps.fill_step import filling_inputs
from lartpc_sparse.steps.run_folder import RunFolder, file_identity, weights_identity
from lartpc_sparse.weights import find_weights

__all__ = ["step_inputs"]


def step_inputs(step: str, config: ChainConfig, folder: RunFolder) -> dict[str, Any]:
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
            "model": _without_decoding(_without_evaluation(section["model"]), config.model),
            "train": _without_habits(section.get("train")),
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
            **_copies(section),
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


def _copies(section: dict[str, Any]) -> dict[str, Any]:
    """What `predict` averages over, where it does: `tune` does, too."""
    predict = section.get("predict")
    if predict is None or predict["augmentation"] is None:
        return {}
    return {"augmentation": predict["augmentation"], "average_heads": predict["average_heads"]}


def _without_habits(train: dict[str, Any] | None) -> dict[str, Any] | None:
    """The training without the options that may be changed on the way: its weights do not depend on them so far."""
    habits = ("checkpoint_every_steps", "log_every_steps", "on_bad_loss")
    return None if train is None else {name: value for name, value in train.items() if name not in habits}


def _without_evaluation(model: dict[str, Any]) -> dict[str, Any]:
    """The model without the options that act in the step evaluate alone."""
    heads = {
        name: {option: value for option, value in head.items() if option != "evaluate"}
        for name, head in model["heads"].items()
    }
    return {**model, "heads": heads}


def _without_decoding(model: dict[str, Any], config: ModelConfig | None) -> dict[str, Any]:
    """The model without the options that act on finished outputs alone."""
    assert config is not None
    heads = {
        name: {option: value for option, value in head.items() if option not in config.heads[name].decoding}
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

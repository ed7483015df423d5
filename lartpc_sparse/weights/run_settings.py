"""How a run uses its weights: the decoding options of its chain, and what its step `tune` has chosen."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from lartpc_sparse.heads.tuning import with_settings
from lartpc_sparse.network import ModelConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.catalogue import sha256_of
from lartpc_sparse.weights.description import Description, describe

__all__ = ["describe_as_used", "model_as_used"]

logger = logging.getLogger(__name__)

_TRAINING = "training"
"""Folder of a run that its checkpoints lie in."""


class _Tuned(BaseModel):
    """What is read of the file that `tune` writes."""

    weights_sha256: str
    settings: dict[str, dict[str, Any]]


def describe_as_used(path: Path) -> Description:
    """What weights say of themselves; those of a run with the decoding options that it has now.

    Raises:
        UserError: see `describe` and `model_as_used`.
    """
    described = describe(path)
    return replace(described, model=model_as_used(path, described.model))


def model_as_used(path: Path, model: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """The model with what decides how the outputs of its heads are read.

    Options that do not repeat a training (`HeadConfig.decoding`) may have changed since a checkpoint was written: they
    are taken from the chain of the run, and what its step `tune` has chosen with these weights is laid over them.

    Args:
        path: of the weights.
        model: of the checkpoint or of the chain.
        folder: of the run that predicts and tunes; None: the one that trained.

    Raises:
        UserError: the run's `config.yaml` or the settings of its step `tune` cannot be read.
    """
    if folder is None:
        lies_in = path.absolute().parent
        if lies_in.name != _TRAINING:
            return dict(model)
        folder = lies_in.parent
    chain = _chain(folder / "config.yaml")
    heads = _with_decoding(model, chain, folder / "config.yaml")
    if chain and chain.get("tune") is None:  # the run itself no longer takes what an earlier `tune` chose
        return {**model, "heads": heads}
    tuned = folder / ((chain.get("tune") or {}).get("output") or "tuned.json")
    for name, chosen in _tuned(tuned, path).items():
        if name not in heads:
            raise UserError(f"{tuned} is of a head {name} that the model does not have; run the step tune again")
        heads[name] = with_settings(heads[name], chosen)
        _require_valid(heads[name], model, name, f"{tuned}: settings", "run the step tune again")
    return {**model, "heads": heads}


def _chain(path: Path) -> Mapping[str, Any]:
    """The resolved chain of a run; empty where there is none."""
    try:
        chain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read ({error}); run the chain again") from error
    if not isinstance(chain, Mapping) or not _is_resolved(chain):
        raise UserError(f"{path} is not the resolved chain of a run; run the chain again")
    return chain


def _is_resolved(chain: Mapping[str, Any]) -> bool:
    """Whether what is read of a chain has the form that a run writes."""
    model, tune = chain.get("model"), chain.get("tune")
    if not isinstance(model, Mapping | None) or not isinstance(tune, Mapping | None):
        return False
    heads = (model or {}).get("heads")
    return isinstance(heads, Mapping | None) and isinstance((tune or {}).get("output"), str | None)


def _with_decoding(model: Mapping[str, Any], chain: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The heads of a model, with the decoding options of the same heads of the chain in `path`."""
    heads = dict(model["heads"])
    now = (chain.get("model") or {}).get("heads") or {}
    try:
        known = ModelConfig.model_validate(model).heads
    except ValidationError:
        return heads  # another version's; whoever builds the network says so
    for name, head in known.items():
        other = now.get(name)
        if isinstance(other, Mapping) and other.get("kind") == head.kind:
            heads[name] = {**heads[name], **{key: other[key] for key in head.decoding if key in other}}
            cure = "the network was trained with other options; give the chain those, or train again"
            _require_valid(heads[name], model, name, f"{path}: model.heads", cure)
    return heads


def _require_valid(head: Mapping[str, Any], model: Mapping[str, Any], name: str, place: str, cure: str) -> None:
    """The settings of a head, which stand in `place`, fit it, if this version knows its model at all."""
    try:
        known = ModelConfig.model_validate(model).heads[name]
    except ValidationError:
        return
    try:
        type(known).model_validate(head)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise UserError(f"{place}.{where}: {first['msg']}; {cure}") from error


def _tuned(path: Path, weights: Path) -> dict[str, dict[str, Any]]:
    """What `tune` chose with these weights, by head; empty where it did not."""
    try:
        tuned = _Tuned.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise UserError(f"{path} is damaged ({what}); run the step tune again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); run the step tune again") from error
    if tuned.weights_sha256 != sha256_of(weights):
        logger.warning("%s is of other weights than %s and is not used; run the step tune again", path, weights)
        return {}
    return tuned.settings

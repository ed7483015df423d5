"""A chain that names weights takes from them what it does not say itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.catalogue import find_weights
from lartpc_sparse.weights.description import Description, describe
from lartpc_sparse.weights.run_settings import describe_as_used

__all__ = ["fill_from_weights"]


def fill_from_weights(chain: Mapping[str, Any]) -> dict[str, Any]:
    """A chain as plain values, with the model and the transforms of its `weights`.

    Weights of a run come with its decoding options and what its step `tune` has chosen, unless the chain trains them
    further. `model` is laid over that of the weights, key by key; a part of another `kind` replaces theirs. The heads
    that the chain lists are all that it has, those without entries as they are in the weights; without a list, all of
    the weights. `data.transforms` replaces theirs as a whole. A chain that says both in full, as a resolved one does,
    can be read without the file.

    Args:
        chain: sections by name; `weights` may be absent.

    Raises:
        ValueError: there are no such weights, or their file cannot be used.
    """
    filled = dict(chain)
    source = filled.get("weights")
    if not isinstance(source, str) or not source:
        return filled
    try:
        path = find_weights(source)
        # a training begins anew: what was chosen for the network before it is not for the one after
        found = describe(path) if filled.get("train") is not None else describe_as_used(path)
    except UserError as error:
        if _is_resolved(filled):
            return filled
        raise ValueError(f"weights: {error}") from error
    return _filled(filled, found)


def _is_resolved(chain: Mapping[str, Any]) -> bool:
    """Whether model and transforms are written down as `dump_config` does."""
    model, data = _given(chain.get("model")), _given(chain.get("data"))
    written = isinstance(model, Mapping) and {"dim", "features", "backbone", "heads"} <= set(model)
    return written and isinstance(data, Mapping) and "transforms" in data


def _filled(chain: dict[str, Any], found: Description) -> dict[str, Any]:
    model, data = _given(chain.get("model")), _given(chain.get("data"))
    if isinstance(model, Mapping):  # otherwise wrong, and the validation says so
        chain["model"] = _model(found.model, model)
    if isinstance(data, Mapping):
        chain["data"] = {"transforms": list(found.transforms), **data}
    return chain


def _given(section: Any) -> Any:
    """What was written in a section, which may be a configuration object already."""
    if isinstance(section, BaseModel):
        return {name: getattr(section, name) for name in section.model_fields_set}
    return {} if section is None else section


def _model(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    model = _merged(base, {name: value for name, value in over.items() if name != "heads"})
    heads = over.get("heads")
    if isinstance(heads, Mapping):
        model["heads"] = {name: _laid_over(base["heads"].get(name, {}), head or {}) for name, head in heads.items()}
    elif heads is not None:
        model["heads"] = heads
    return model


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _laid_over(merged.get(key), value)
    return merged


def _laid_over(base: Any, over: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    if "kind" in base and over.get("kind", base["kind"]) != base["kind"]:
        return over
    return _merged(base, over)

"""A tree against a configuration class, and what is wrong with it in the words of the user's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lartpc_sparse.yaml_config.document import Node, plain
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem, suggestion
from lartpc_sparse.yaml_config.location import Location, locate

__all__ = ["validate"]

T = TypeVar("T", bound=BaseModel)

_LONGEST_VALUE = 80


def validate(root: Node, model: type[T]) -> T:
    """The configuration that a tree describes.

    Raises:
        ConfigError: what is wrong, with file, line and column, all problems at once.
    """
    try:
        return model.model_validate(plain(root))
    except ValidationError as error:
        raise ConfigError(_problems(error, root, model)) from error


def _problems(error: ValidationError, root: Node, model: type[BaseModel]) -> list[Problem]:
    """One problem a key: what the members of a union say about the same value is joined."""
    texts: dict[tuple[Place, str], dict[str, None]] = {}
    given: dict[tuple[Place, str], str] = {}
    for details in error.errors(include_url=False):
        location = locate(details["loc"], root, model, missing=details["type"] == "missing")
        place, path, text, value = _explain(details, location)
        texts.setdefault((place, path), {})[text] = None
        given[place, path] = value
    return [Problem(place, path, "; or ".join(text) + given[place, path]) for (place, path), text in texts.items()]


def _explain(details: ErrorDetails, location: Location) -> tuple[Place, str, str, str]:
    """Place, path, what is wrong, and the value given (empty where it says nothing)."""
    path, node = location.path, location.node
    if details["type"] == "extra_forbidden":
        key = path.rpartition(".")[2]
        valid = location.valid_keys
        known = f"; {suggestion(key, valid)}valid: {', '.join(valid)}" if valid else ""
        return node.key_place or node.place, path, f"unknown key{known}", ""
    if details["type"] == "missing":
        return node.heading, path, "this key is required and missing", ""
    if details["type"] == "unknown_kind":
        return _explain_kind(location)
    if details["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return node.place, path, "should be a mapping of keys to values", _given(details["input"])
    cause = details.get("ctx", {}).get("error")
    text = str(cause) if isinstance(cause, Exception) else details["msg"].replace("Input should", "should", 1)
    place = (node.key_place or node.place) if location.on_key else node.heading
    return place, path, text, _given(details["input"])


def _explain_kind(location: Location) -> tuple[Place, str, str, str]:
    node, kinds = location.node, location.valid_kinds
    valid = f"valid: {', '.join(kinds)}, or 'package.module:ClassConfig' for a part of your own"
    kind = node.child("kind")
    if kind is not None:
        text = f"unknown kind {_short(plain(kind))}; {suggestion(str(kind.value), kinds)}{valid}"
        return kind.place, f"{location.path}.kind".lstrip("."), text, ""
    if isinstance(node.value, Mapping):
        return node.heading, location.path, f"the key 'kind' is required and missing; {valid}", ""
    hint = f"did you mean {{kind: {node.value}}}? " if node.value in kinds else ""
    text = f"should be a mapping with the key 'kind'; {hint}{valid}"
    return node.heading, location.path, text, _given(plain(node))


def _given(value: Any) -> str:
    return "" if isinstance(value, Mapping) else f"; given {_short(value)}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."

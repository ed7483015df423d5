"""A YAML file to a validated configuration, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lartpc_sparse.yaml_config.document import FLOAT_PATTERN, Node, plain
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem, suggestion
from lartpc_sparse.yaml_config.location import Location, locate
from lartpc_sparse.yaml_config.merge import apply_override, read_tree

__all__ = ["dump_config", "load_config"]

T = TypeVar("T", bound=BaseModel)

_LONGEST_VALUE = 80


def load_config(path: Path | str, model: type[T], overrides: Sequence[str] = ()) -> T:
    """Reads a YAML file, what it includes and the overrides, and validates the result.

    Args:
        path: the file; named in errors as given.
        model: the configuration class.
        overrides: `a.b.c=value`, applied in order after all files.

    Raises:
        ConfigError: what is wrong, with file, line and column, all problems at once.
    """
    root = read_tree(Path(path))
    for override in overrides:
        root = apply_override(root, override)
    try:
        return model.model_validate(plain(root))
    except ValidationError as error:
        raise ConfigError(_problems(error, root, model)) from error


def dump_config(config: BaseModel) -> str:
    """The configuration with all its defaults as YAML; `load_config` reads it back to an equal one."""
    data = config.model_dump(mode="json", by_alias=True)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Block style with lists of scalars on one line; nothing is written as an alias."""

    LINE_BREAKS = frozenset("\x85\u2028\u2029")
    """Text with one of these must be in double quotes: elsewhere PyYAML writes them as they are and reads a space."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Iterable[Any]) -> yaml.SequenceNode:
        short = not any(isinstance(item, list | dict) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if self.LINE_BREAKS.isdisjoint(data) else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(list, _Dumper.represent_list)
_Dumper.add_representer(str, _Dumper.represent_str)
# Text that looks like a number to the loader (`1e-3`) must be quoted, besides what YAML 1.1 quotes.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT_PATTERN, list("-+.0123456789"))


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

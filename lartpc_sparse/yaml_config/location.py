"""From the `loc` of a pydantic error to the key as the user writes it, its node, and what may stand there."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from lartpc_sparse.schema import OneOf
from lartpc_sparse.yaml_config.document import Node

__all__ = ["Location", "locate"]

_MAPPING_KEY = "[key]"
"""Pydantic's last element of `loc` when the key of a dict is wrong, not its value."""


@dataclass(frozen=True)
class Location:
    """Where an error is.

    Attributes:
        path: `heads.semantic.classes`, list indices as numbers; empty for the top level.
        node: the node at the path, or that of the mapping in which a key is missing.
        on_key: the error is about the key rather than its value.
        expected: what may stand at the path, types and `OneOf`.
        owner: what the mapping that holds the path may be.
    """

    path: str
    node: Node
    on_key: bool
    expected: tuple[Any, ...]
    owner: tuple[Any, ...]

    @property
    def valid_keys(self) -> tuple[str, ...]:
        """The keys that the mapping holding the path knows; empty when any key goes."""
        models = [choice for choice in self.owner if isinstance(choice, type) and issubclass(choice, BaseModel)]
        return tuple(dict.fromkeys(name for model in models for name in _keys(model)))

    @property
    def valid_kinds(self) -> tuple[str, ...]:
        """The values of `kind` that the path accepts."""
        return tuple(kind for choice in self.expected if isinstance(choice, OneOf) for kind in choice.kinds)


def locate(loc: tuple[str | int, ...], root: Node, model: type[BaseModel], *, missing: bool = False) -> Location:
    """Walks tree and model side by side, leaving out of `loc` what names a choice and not a key.

    Pydantic puts the tag of a `OneOf` and the type of a plain union into `loc`. The former is known from the
    model; the latter from the data, which do not have it as a key.

    Args:
        loc: of one error.
        root: the tree that was validated.
        model: the class it was validated against.
        missing: the error is that the last key of `loc` is absent.
    """
    node, path, on_key = root, list[str](), False
    expected: tuple[Any, ...] = (model,)
    owner: tuple[Any, ...] = ()
    around: tuple[Any, ...] = ()
    for index, part in enumerate(loc):
        chosen = _chosen(expected, part, node)
        child = node.child(part)
        if chosen:
            expected = chosen
        elif part == _MAPPING_KEY and child is None:
            on_key = True
        elif child is not None or (missing and index == len(loc) - 1):
            path.append(str(part))
            owner, expected = (*expected, *around), tuple(c for choice in expected for c in _member(choice, part))
            node, around = child or node, ()
        elif members := tuple(c for choice in expected for c in _member(choice, part)):
            around, expected = expected, members  # a short form: the keys of the field stand beside it
        else:
            expected = tuple(c for c in expected if getattr(c, "__name__", "") == part) or expected
    return Location(".".join(path), node, on_key, expected, owner)


def _chosen(choices: Iterable[Any], tag: str | int, node: Node) -> tuple[Any, ...]:
    """The configuration class that a `OneOf` among the choices selects by this tag."""
    kind = node.child("kind")
    for choice in choices:
        if isinstance(choice, OneOf):
            by_kind = dict(zip(choice.kinds, choice.configs, strict=True))
            if tag in by_kind:
                return (by_kind[str(tag)],)
            if isinstance(tag, str) and ":" in tag and kind is not None:  # the one tag of all external parts
                module, _, name = str(kind.value).partition(":")
                return (getattr(sys.modules.get(module), name, Any),)
    return ()


def _member(choice: Any, part: str | int) -> tuple[Any, ...]:
    """What a model, list, tuple or mapping type accepts under a key or index."""
    if isinstance(choice, type) and issubclass(choice, BaseModel):
        for name, field in choice.model_fields.items():
            if part in (name, field.alias):
                return _choices(field.annotation, field.metadata)
        return ()
    arguments = get_args(choice)
    if not arguments:
        return ()
    origin = get_origin(choice)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _choices(arguments[-1])
    if origin is tuple and arguments[-1] is not ... and isinstance(part, int):
        return _choices(arguments[part]) if part < len(arguments) else ()
    return _choices(arguments[0])


def _choices(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[Any, ...]:
    """The alternatives of a type: members of a union, a `OneOf` in place of the base it annotates."""
    one_of = tuple(item for item in metadata if isinstance(item, OneOf))
    if one_of:
        return one_of
    if get_origin(annotation) is Annotated:
        base, *inner = get_args(annotation)
        return _choices(base, inner)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(c for member in get_args(annotation) for c in _choices(member))
    if hasattr(annotation, "__value__"):  # `type Name = ...`
        return _choices(annotation.__value__)
    return (annotation,)


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]

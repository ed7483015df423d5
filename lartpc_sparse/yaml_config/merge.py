"""A configuration from several sources: `include:` of other files, and `a.b.c=value` overrides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lartpc_sparse.yaml_config.document import Node, parse_document
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem, suggestion

__all__ = ["apply_override", "merge", "read_tree"]


Resolve = Callable[[Node], Node | None]
"""From the name of an included file as written to the name to read; None leaves the file out."""


def read_tree(path: Path, resolve: Resolve = lambda name: name) -> Node:
    """Reads a file and the files it includes.

    `include:` at top level names one file or a list of files, relative to the file that includes. They are
    merged in order, later ones win, and the including file wins over all of them.

    Args:
        path: the file.
        resolve: turns each name of an included file into the one to read.

    Returns:
        A mapping without the key `include`.

    Raises:
        ConfigError: a file is missing, unreadable, empty or not a mapping, or includes itself.
    """
    return _read(path, None, (), resolve)


def merge(base: Node, over: Node) -> Node:
    """Merges mappings key by key at every depth; anything else of `base` is replaced by `over`.

    Two parts of a different `kind` are not merged, since the options of one do not fit the other.
    """
    if not (isinstance(base.value, Mapping) and isinstance(over.value, Mapping)):
        return over
    old_kind, new_kind = base.child("kind"), over.child("kind")
    if old_kind is not None and new_kind is not None and old_kind.value != new_kind.value:
        return over
    merged = dict(base.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return dataclasses.replace(over, value=merged)


def apply_override(root: Node, override: str) -> Node:
    """Sets one value: `train.optimizer.lr=1e-3`, `transforms.0.size=64`; the value is YAML.

    Sections that are absent or empty are made. A mapping or list given as value replaces the old one.

    Raises:
        ConfigError: not of the form `key=value`, the value is not YAML, or the path runs into a scalar or past the
            end of a list.
    """
    place = Place(f"--set {override}")
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError([Problem(place, "", "write it as key.key=value")])
    value = parse_document(text, place.source, at=place) or Node(None, place)
    return _set(root, keys, (), dataclasses.replace(value, key_place=place))


def _read(path: Path, asked: Place | None, parents: tuple[Path, ...], resolve: Resolve) -> Node:
    place = Place(str(path))
    text = _read_text(path, asked)
    node = parse_document(text, str(path))
    if node is None:
        raise ConfigError([Problem(place, "", "the file is empty; a configuration is a mapping of sections")])
    if not isinstance(node.value, Mapping):
        raise ConfigError([Problem(node.place, "", "the top level must be a mapping, `section: ...`")])
    own = dataclasses.replace(node, value={k: v for k, v in node.value.items() if k != "include"})
    merged = None
    for include in _includes(node, resolve):
        file = path.parent / include.value
        chain = (*parents, path.resolve())
        if file.resolve() in chain:
            loop = " -> ".join(parent.name for parent in (*chain, file.resolve()))
            raise ConfigError([Problem(include.place, "include", f"a file includes itself: {loop}")])
        child = _read(file, include.place, chain, resolve)
        merged = child if merged is None else merge(merged, child)
    return own if merged is None else merge(merged, own)


def _includes(node: Node, resolve: Resolve) -> list[Node]:
    include = node.child("include")
    if include is None or include.value is None:
        return []
    names = include.value if isinstance(include.value, list) else [include]
    for name in names:
        if not isinstance(name.value, str):
            raise ConfigError([Problem(name.heading, "include", "must be a file name or a list of file names")])
    resolved = [found for name in names if (found := resolve(name)) is not None]
    for name in resolved:
        if not isinstance(name.value, str):
            raise ConfigError([Problem(name.heading, "include", f"must be a file name, not {name.value!r}")])
    return resolved


def _read_text(path: Path, asked: Place | None) -> str:
    """The file's text; `asked` is where an include names it."""
    place, key = (Place(str(path)), "") if asked is None else (asked, "include")
    named = "" if asked is None else f" '{path}'"
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        siblings = [file.name for file in path.parent.glob("*.y*ml")]
        text = f"no such file{named}; {suggestion(path.name, siblings)}".rstrip("; ")
        raise ConfigError([Problem(place, key, text)]) from error
    except OSError as error:
        raise ConfigError([Problem(place, key, f"cannot read the file{named}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(place, key, f"the file{named} is not UTF-8 text: {error.reason}")]) from error


def _set(node: Node, keys: list[str], above: tuple[str, ...], value: Node) -> Node:
    if not keys:
        return value
    key, path = keys[0], ".".join(above)
    if isinstance(node.value, list):
        if not (key.isdecimal() and int(key) < len(node.value)):
            text = f"a list of {len(node.value)} at {node.heading}; '{key}' is not one of its indices, counted from 0"
            raise ConfigError([Problem(value.place, path, text)])
        items = list(node.value)
        items[int(key)] = _set(items[int(key)], keys[1:], (*above, key), value)
        return dataclasses.replace(node, value=items)
    if node.value is not None and not isinstance(node.value, Mapping):
        text = f"not a mapping but {node.value!r} at {node.place}; it has no key '{key}'"
        raise ConfigError([Problem(value.place, path, text)])
    entries: dict[Any, Node] = dict(node.value or {})
    name = next((name for name in entries if str(name) == key), key)
    child = entries.get(name, Node(None, value.place, value.place))
    entries[name] = _set(child, keys[1:], (*above, key), value)
    return dataclasses.replace(node, value=entries)

"""`${name}` in the texts of a configuration, and `$${` for a literal `${`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lartpc_sparse.yaml_config.document import Node
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem, suggestion

__all__ = ["Substituted", "escape", "has_variables", "scalar_text", "substitute"]

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")


def escape(text: str) -> str:
    """The text as it must be written in a file, so that it is read back as it is: `${` becomes `$${`."""
    return text.replace("${", "$${")


def has_variables(text: str) -> bool:
    """Whether a text as written refers to a variable, or tries to."""
    return any(match[0] != "$${" for match in _REFERENCE.finditer(text))


def scalar_text(value: Any) -> str:
    """A scalar as it stands inside a text: as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


@dataclass(frozen=True)
class Substituted:
    """A tree without variables.

    Attributes:
        root: the tree.
        written: by path, the texts as they were written, with their places, of those that use a variable.
        used: names of the variables that were used.
    """

    root: Node
    written: Mapping[str, Node]
    used: frozenset[str]


def substitute(
    root: Node,
    values: Mapping[str, Node],
    missing: Mapping[str, str] = MappingProxyType({}),
    path: tuple[str, ...] = (),
) -> Substituted:
    """Puts values in the place of `${name}` in every text and key of a tree.

    A text that is nothing but `${name}` becomes the value, whatever its type; inside a longer text the value must be
    a scalar. What is put in is not looked at again.

    Args:
        root: as read.
        values: of the variables.
        missing: names without a value here, and what they need to have one.
        path: of the root, for complaints.

    Raises:
        ConfigError: an unknown variable, one that does not fit in a text, `${` without `}`; all of them at once.
    """
    walk = _Walk(values, missing)
    node = walk.node(root, path)
    if walk.problems:
        raise ConfigError(walk.problems)
    return Substituted(node, walk.written, frozenset(walk.used))


class _Walk:
    """One pass over a tree; remembers what was used where, and what is wrong."""

    def __init__(self, values: Mapping[str, Node], missing: Mapping[str, str]) -> None:
        self.values, self.missing = values, missing
        self.problems: list[Problem] = []
        self.written: dict[str, Node] = {}
        self.used: set[str] = set()

    def node(self, node: Node, path: tuple[str, ...]) -> Node:
        if isinstance(node.value, Mapping):
            return dataclasses.replace(node, value=self.mapping(node.value, path))
        if isinstance(node.value, list):
            items = [self.node(item, (*path, str(index))) for index, item in enumerate(node.value)]
            return dataclasses.replace(node, value=items)
        if not (isinstance(node.value, str) and "${" in node.value):
            return node
        return dataclasses.replace(node, value=self.text(node.value, node.place, ".".join(path)))

    def mapping(self, entries: Mapping[Any, Node], path: tuple[str, ...]) -> dict[Any, Node]:
        done: dict[Any, Node] = {}
        for key, child in entries.items():
            here = (*path, str(key))
            name, place = key, child.key_place or child.place
            if isinstance(key, str) and "${" in key:
                name = self.text(key, place, ".".join(here))
            if isinstance(name, Mapping | list):
                self.problem(place, ".".join(here), "a key must be a word or a number, not a list or a mapping")
                continue
            if name in done:
                self.problem(place, ".".join(here), f"the key '{name}' is given twice")
            done[name] = self.node(child, (*path, str(name)))
        return done

    def text(self, text: str, place: Place, path: str) -> Any:
        if has_variables(text):
            self.written[path] = Node(text, place)
        alone = _REFERENCE.fullmatch(text)
        if alone is not None and alone[1] is not None:
            value = self.value(alone[1], place, path)
            return text if value is None else value.value

        def put(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match[1] is None:
                self.problem(place, path, "'${' without '}'; write $${ for a literal ${")
                return ""
            value = self.value(match[1], place, path)
            if value is not None and isinstance(value.value, Mapping | list):
                kind = "mapping" if isinstance(value.value, Mapping) else "list"
                name = f"; ${{{match[1]}.name}} is its name" if f"{match[1]}.name" in self.values else ""
                self.problem(place, path, f"the value of '{match[1]}' is a {kind} and cannot stand in a text{name}")
                return ""
            return "" if value is None else scalar_text(value.value)

        return _REFERENCE.sub(put, text)

    def value(self, name: str, place: Place, path: str) -> Node | None:
        if name in self.values:
            self.used.add(name.partition(".")[0])
            return self.values[name]
        if name in self.missing:
            self.problem(place, path, f"'{name}' has no value here: the configuration has no {self.missing[name]}")
            return None
        valid = f"{suggestion(name, self.values)}valid: {', '.join(self.values)}"
        known = valid if self.values else "there is no section for_each that gives it values"
        self.problem(place, path, f"no variable '{name}'; {known}; write $${{ for a literal ${{")
        return None

    def problem(self, place: Place, path: str, text: str) -> None:
        self.problems.append(Problem(place, path, text))

"""YAML text to a tree in which every key and value knows where it was written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem

__all__ = ["FLOAT_PATTERN", "Node", "parse_document", "plain"]

FLOAT_PATTERN = re.compile(
    r"""^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
"""Numbers of YAML 1.2: unlike PyYAML's own pattern it takes `1e-3`, and not `1:30` (base 60)."""


@dataclass(frozen=True)
class Node:
    """A value and its place.

    Attributes:
        value: a scalar; a list of nodes; or a mapping from key to node, in the order of the file.
        place: where the value starts.
        key_place: where its key stands, for the value of a mapping.
    """

    value: Any
    place: Place
    key_place: Place | None = None

    @property
    def heading(self) -> Place:
        """The place to name in a complaint: the key of a mapping or list, the value of a scalar."""
        nested = isinstance(self.value, Mapping | list)
        return self.key_place if nested and self.key_place is not None else self.place

    def child(self, key: object) -> Node | None:
        """The value under a key or list index; a key is also found by its text (`1` under `"1"`)."""
        if isinstance(self.value, Mapping):
            found = next((name for name in self.value if name == key or str(name) == str(key)), None)
            return None if found is None else self.value[found]
        if isinstance(self.value, list) and isinstance(key, int) and 0 <= key < len(self.value):
            found_item: Node = self.value[key]
            return found_item
        return None


class _Loader(yaml.SafeLoader):
    """Safe loader with the scalars of YAML 1.2.

    `on`, `off`, `yes`, `no`, `1:30` and `2024-01-01` stay text (a field of type bool still accepts
    the first four); `1e-3` is a number; `010` is not octal.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  # the superclass declares it; empty: nothing of YAML 1.1


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$", list("-+0123456789")),
    ("float", FLOAT_PATTERN.pattern, list("-+.0123456789")),
    ("merge", r"^<<$", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern, re.VERBOSE), _first)


def parse_document(text: str, source: str, at: Place | None = None) -> Node | None:
    """Parses one YAML document.

    Args:
        text: the document.
        source: name to report in places.
        at: reported as the place of everything instead of line and column.

    Returns:
        The tree, None for an empty document.

    Raises:
        ConfigError: the text is not YAML, a key is given twice or is not a scalar, a tag is not of plain YAML.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        return None if root is None else _Conversion(loader, source, at).node(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        quotes = "; inside { } and [ ] a text with ${...} must be in quotes" if _at_variable(text, mark) else ""
        raise ConfigError([Problem(at or place, "", f"not valid YAML: {what}{quotes}")]) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(source, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise ConfigError([Problem(at or place, "", f"not valid YAML: {error.reason}")]) from error


def _at_variable(text: str, mark: yaml.Mark | None) -> bool:
    """Whether the parser stumbled over the brace of a `${`."""
    lines = text.splitlines()
    return mark is not None and mark.line < len(lines) and lines[mark.line][: mark.column + 1].endswith("${")


class _Conversion:
    """Turns the nodes of one composed document into `Node`; remembers those that aliases repeat."""

    def __init__(self, loader: _Loader, source: str, at: Place | None) -> None:
        self.loader = loader
        self.source = source
        self.at = at
        self.done: dict[int, Node] = {}
        self.open: set[int] = set()

    def node(self, node: yaml.Node) -> Node:
        if id(node) in self.open:
            raise self.error(node, "an alias (*name) stands inside the value it repeats")
        if id(node) not in self.done:
            self.open.add(id(node))
            self.done[id(node)] = Node(self.value(node), self.place(node))
            self.open.remove(id(node))
        return self.done[id(node)]

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.node(item) for item in node.value]
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, f"the tag {node.tag} is not allowed in a configuration")
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Node]:
        first: dict[Any, Place] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.key(key_node)
            if key in first:
                raise self.error(key_node, f"the key '{key}' is given twice, first at {first[key]}")
            first[key] = self.place(key_node)
        self.loader.flatten_mapping(node)  # `<<: *name`; the mapping's own keys come last and win
        return {
            self.key(key_node): dataclasses.replace(self.node(value), key_place=self.place(key_node))
            for key_node, value in node.value
        }

    def key(self, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, "a key must be a word or a number, not a list or a mapping")
        return self.scalar(node)

    def scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return self.loader.construct_object(node)
        except ValueError as error:  # an explicit tag that does not fit, `!!int abc`
            raise self.error(node, f"'{node.value}' does not fit its tag {node.tag}") from error

    def place(self, node: yaml.Node) -> Place:
        mark = node.start_mark
        return self.at or Place(self.source, mark.line + 1, mark.column + 1)

    def error(self, node: yaml.Node, text: str) -> ConfigError:
        return ConfigError([Problem(self.place(node), "", text)])


def plain(node: Node) -> Any:
    """The tree as dicts, lists and scalars, without places."""
    if isinstance(node.value, Mapping):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value

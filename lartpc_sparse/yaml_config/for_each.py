"""The section `for_each`: variables, their values, and all combinations of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lartpc_sparse.yaml_config.document import Node
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem
from lartpc_sparse.yaml_config.substitute import scalar_text

__all__ = ["FOR_EACH", "Choice", "Variable", "combinations", "read_variables", "values_of"]

FOR_EACH = "for_each"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Choice:
    """One value of a variable.

    Attributes:
        label: by which the user names it: its text, or the name that it was given.
        value: what takes the place of the variable.
    """

    label: str
    value: Node


@dataclass(frozen=True)
class Variable:
    """A name and its values.

    Attributes:
        name: as in `${name}`.
        choices: in the order of the file; their labels differ.
        place: of its key.
        named: the values have names of their own.
    """

    name: str
    choices: tuple[Choice, ...]
    place: Place
    named: bool


def read_variables(root: Node, reserved: Container[str] = ()) -> tuple[Variable, ...]:
    """The variables of a tree; none without the section.

    `plane: [u, v, y]` lists scalars; `weighting: {plain: {kind: none}, published: {kind: cluster_vertex}}` gives names
    to values of any type.

    Args:
        root: the top level.
        reserved: names that have another meaning.

    Raises:
        ConfigError: not a mapping, a name that is not a word or reserved, no values, equal values, a list or mapping
            among values without names.
    """
    section = root.child(FOR_EACH)
    if section is None or section.value is None:
        return ()
    if not isinstance(section.value, Mapping) or not section.value:
        raise _error(section, FOR_EACH, "should be a mapping of names to lists of values, {plane: [u, v, y]}")
    return tuple(_variable(str(name), node, reserved) for name, node in section.value.items())


def combinations(variables: Sequence[Variable]) -> Iterator[Mapping[str, Choice]]:
    """Every combination of one choice a variable; the last variable changes fastest."""
    names = [variable.name for variable in variables]
    for choices in itertools.product(*(variable.choices for variable in variables)):
        yield dict(zip(names, choices, strict=True))


def values_of(variables: Sequence[Variable], chosen: Mapping[str, Choice]) -> dict[str, Node]:
    """What `${name}` stands for, and `${name.name}` where values have names."""
    values = {name: choice.value for name, choice in chosen.items()}
    for variable in variables:
        if variable.named:
            choice = chosen[variable.name]
            values[f"{variable.name}.name"] = Node(choice.label, choice.value.place)
    return values


def _variable(name: str, node: Node, reserved: Container[str]) -> Variable:
    path = f"{FOR_EACH}.{name}"
    place = node.key_place or node.place
    if not _NAME.fullmatch(name):
        raise ConfigError(
            [Problem(place, path, "a variable's name is of letters, digits and _, and does not begin with a digit")]
        )
    if name in reserved:
        raise ConfigError([Problem(place, path, f"the name '{name}' is taken; choose another one")])
    if not isinstance(node.value, Mapping | list) or not node.value:
        raise _error(node, path, "should be a list of values, or a mapping of names to values")
    if isinstance(node.value, Mapping):
        entries = [(scalar_text(label), value) for label, value in node.value.items()]
    else:
        entries = [(_label(path, index, item), item) for index, item in enumerate(node.value)]
    choices: dict[str, Choice] = {}
    for label, value in entries:
        if not label.strip():
            raise _error(value, path, "an empty text cannot name a variant; write a mapping of names to values")
        if label in choices:
            raise _error(value, path, f"the value '{label}' is given twice")
        choices[label] = Choice(label, value)
    return Variable(name, tuple(choices.values()), place, isinstance(node.value, Mapping))


def _label(path: str, index: int, item: Node) -> str:
    if isinstance(item.value, Mapping | list):
        text = "a list or mapping needs a name: write a mapping, {first: [...], second: [...]}"
        raise _error(item, f"{path}.{index}", text)
    return scalar_text(item.value)


def _error(node: Node, path: str, text: str) -> ConfigError:
    return ConfigError([Problem(node.heading, path, text)])

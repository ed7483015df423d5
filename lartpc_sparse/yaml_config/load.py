"""A YAML file to validated configurations: one, or one for each combination of its variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from lartpc_sparse.yaml_config.document import Node, plain
from lartpc_sparse.yaml_config.error import ConfigError, Place, Problem
from lartpc_sparse.yaml_config.for_each import FOR_EACH, Variable, combinations, read_variables, values_of
from lartpc_sparse.yaml_config.merge import apply_override, read_tree
from lartpc_sparse.yaml_config.substitute import Substituted, has_variables, substitute
from lartpc_sparse.yaml_config.validate import validate

__all__ = ["DerivedVariables", "Variant", "load_config", "load_variants"]

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Variant(Generic[T]):
    """One combination of the variables' values.

    Attributes:
        labels: variable to the label of its value; empty when the file has no `for_each`.
        config: the configuration with the values in their places.
        written: by path, the texts as written, with their places, of those that use a variable.
    """

    labels: Mapping[str, str]
    config: T
    written: Mapping[str, Node] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`plane=u, seed=1`; empty without variables."""
        return ", ".join(f"{name}={label}" for name, label in self.labels.items())


@dataclass(frozen=True)
class DerivedVariables(Generic[T]):
    """Variables whose values follow from the configurations.

    Attributes:
        needs: name to what a configuration must have for it, "section simulate".
        values: the values for every variant; a name that a variant has no value for is left out. In the configurations
            that it is given, the variables stand for themselves.
    """

    needs: Mapping[str, str]
    values: Callable[[Sequence[Variant[T]]], Sequence[Mapping[str, str]]]


def load_config(path: Path | str, model: type[T], overrides: Sequence[str] = ()) -> T:
    """Reads a YAML file, what it includes and the overrides, and validates the result.

    Args:
        path: the file; named in errors as given.
        model: the configuration class.
        overrides: `a.b.c=value`, applied in order after all files.

    Raises:
        ConfigError: what is wrong, with file, line and column, all problems at once; or the file has a section
            `for_each`, and so describes several configurations.
    """
    variants = load_variants(path, model, overrides)
    if variants[0].labels:
        text = f"describes {len(variants)} configurations where one is wanted; leave out the section"
        raise ConfigError([Problem(Place(str(path)), FOR_EACH, text)])
    return variants[0].config


def load_variants(
    path: Path | str,
    model: type[T],
    overrides: Sequence[str] = (),
    derived: DerivedVariables[T] | None = None,
) -> tuple[Variant[T], ...]:
    """Reads a YAML file as `load_config` does, once for each combination of the values in its section `for_each`.

    `${name}` in a text is replaced by the value of the variable, in the file, in what it includes, in the names of
    included files and in the overrides; `$${` is a literal `${`.

    Args:
        path: the file; named in errors as given.
        model: the configuration class; the section `for_each` is no part of it.
        overrides: `a.b.c=value`, applied in order after all files; also to `for_each`.
        derived: further variables.

    Returns:
        The variants in the order of the file, the last variable changing fastest; one without labels when the file
        has no `for_each`.

    Raises:
        ConfigError: what is wrong, with file, line and column; a problem of some variants names them.
    """
    source = _Source(Path(path), tuple(overrides))
    reserved = dict(derived.needs) if derived is not None else {}
    root = source.tree(None)
    variables = read_variables(root, reserved)
    chosen = list(combinations(variables))
    values = [values_of(variables, choice) for choice in chosen]
    own = {name: Node(f"${{{name}}}", Place(str(path))) for name in reserved}
    trees = [_filled(source, each, own, section=root.child(FOR_EACH)) for each in values]
    _refuse_unused(variables, trees)
    labels = [{name: choice.label for name, choice in choices.items()} for choices in chosen]
    variants = _validated(trees, labels, model)
    if derived is None or not any(tree.used & reserved.keys() for tree in trees):
        return variants
    further = derived.values(variants)
    trees = [
        _filled(source, each, {name: Node(text, own[name].place) for name, text in more.items()}, missing=reserved)
        for each, more in zip(values, further, strict=True)
    ]
    return _validated(trees, labels, model)


@dataclass(frozen=True)
class _Source:
    path: Path
    overrides: tuple[str, ...]

    def tree(self, resolve: Callable[[Node], Node] | None) -> Node:
        """The tree of all files and overrides; `resolve` fills in names of included files, None leaves those out."""
        root = read_tree(self.path, resolve or _without_variables)
        for override in self.overrides:
            root = apply_override(root, override)
        return root


def _without_variables(name: Node) -> Node | None:
    return None if has_variables(name.value) else substitute(name, {}, path=("include",)).root


def _filled(
    source: _Source,
    values: Mapping[str, Node],
    own: Mapping[str, Node],
    *,
    missing: Mapping[str, str] | None = None,
    section: Node | None = None,
) -> Substituted:
    """The tree of one variant, without the section `for_each`; its own values may use the derived variables `own`."""
    used: set[str] = set()

    def resolve(name: Node) -> Node:
        filled = substitute(name, values, path=("include",))
        used.update(filled.used)
        return filled.root

    missing = {name: need for name, need in (missing or {}).items() if name not in own}
    root = source.tree(resolve)
    again = root.child(FOR_EACH)
    if section is not None and again is not None and plain(again) != plain(section):
        text = "a file whose name has a variable cannot add to this section"
        raise ConfigError([Problem(again.heading, FOR_EACH, text)])
    inner = {name: substitute(value, own, missing, (FOR_EACH, name)) for name, value in values.items()}
    found = {name: part.root for name, part in inner.items()}
    rest = dataclasses.replace(root, value={key: node for key, node in root.value.items() if key != FOR_EACH})
    filled = substitute(rest, {**found, **own}, missing)
    used.update(name for key, part in inner.items() if key in filled.used for name in part.used)
    return dataclasses.replace(filled, used=filled.used | used)


def _refuse_unused(variables: Sequence[Variable], trees: Sequence[Substituted]) -> None:
    used = frozenset[str]().union(*(tree.used for tree in trees))
    problems = [
        Problem(
            variable.place,
            f"{FOR_EACH}.{variable.name}",
            f"the variable is used nowhere, so its variants would all be the same; write ${{{variable.name}}}",
        )
        for variable in variables
        if variable.name not in used
    ]
    if problems:
        raise ConfigError(problems)


def _validated(
    trees: Sequence[Substituted], labels: Sequence[Mapping[str, str]], model: type[T]
) -> tuple[Variant[T], ...]:
    variants: list[Variant[T]] = []
    found: dict[Problem, list[str]] = {}
    for tree, label in zip(trees, labels, strict=True):
        try:
            variants.append(Variant(label, validate(tree.root, model), tree.written))
        except ConfigError as error:
            name = ", ".join(f"{key}={value}" for key, value in label.items())
            for problem in error.problems:
                found.setdefault(problem, []).append(name)
    if found:
        raise ConfigError(
            [
                problem if len(names) == len(trees) else dataclasses.replace(problem, text=_of(problem, names))
                for problem, names in found.items()
            ]
        )
    return tuple(variants)


def _of(problem: Problem, names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{problem.text} (variant {names[0]}{more})"

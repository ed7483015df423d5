"""Where the variants of a chain write, and what is made once for all of them."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.yaml_config import ConfigError, DerivedVariables, Problem, Variant
from lartpc_sparse.yaml_config.substitute import has_variables

__all__ = ["SIMULATION", "Study", "lay_out"]

_AWKWARD = re.compile(r"[^\w.+-]")
_OUTPUT_DIR = "run.output_dir"
_LEARNING = ("train", "predict", "evaluate", "report")


@dataclass(frozen=True)
class Study:
    """All variants of a chain.

    Attributes:
        name: of the whole.
        folder: holds the folders of all variants, and what belongs to all of them.
        variants: each a whole chain with a folder of its own; without `simulate` when that is shared.
        simulation: the chain that makes the events of all variants, when these are the same.
    """

    name: str
    folder: Path
    variants: tuple[Variant[ChainConfig], ...]
    simulation: ChainConfig | None

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(self.variants[0].labels)


def lay_out(variants: Sequence[Variant[ChainConfig]]) -> Study:
    """Gives every variant its folder, and takes out the simulation that all of them share.

    `run.output_dir` may hold variables: then the folder of what is common is the part before the first of them, and
    else every variant gets a folder in it, `plane=u,seed=1`. A simulation is shared when section and seed are the same
    in all variants, and there is something else to do.

    Args:
        variants: of a chain with `for_each`.

    Raises:
        ConfigError: folders of variants that are the same, inside one another, or where something common lies.
    """
    first = variants[0]
    root, folders = _folders(variants)
    shared = _shares_simulation(variants)
    _refuse_overlap(variants, folders, [root, _events(root, first.config)] if shared else [root])
    placed = [_placed(variant, folder, shared=shared) for variant, folder in zip(variants, folders, strict=True)]
    names = {variant.config.run.name for variant in variants}
    name = first.config.run.name if len(names) == 1 else root.resolve().name or "variants"
    simulation = None
    if shared:
        changes = {"name": name, "output_dir": root, "seed": first.config.simulation_seed}
        run = first.config.run.model_copy(update=changes)
        simulation = ChainConfig(run=run, simulate=first.config.simulate)
    return Study(name, root, tuple(placed), simulation)


def _simulation_folders(variants: Sequence[Variant[ChainConfig]]) -> list[Mapping[str, str]]:
    """The value of `${simulation}` in each variant."""
    root, folders = _folders(variants)
    if _shares_simulation(variants):
        folders = [root] * len(variants)
    return [
        {} if variant.config.simulate is None else {"simulation": str(_events(folder, variant.config))}
        for variant, folder in zip(variants, folders, strict=True)
    ]


SIMULATION: DerivedVariables[ChainConfig] = DerivedVariables({"simulation": "section simulate"}, _simulation_folders)
"""`${simulation}`: the folder of the events that the chain itself simulates."""


def _folders(variants: Sequence[Variant[ChainConfig]]) -> tuple[Path, list[Path]]:
    """The common folder, and that of each variant."""
    written = variants[0].written.get(_OUTPUT_DIR)
    given = [variant.config.run.output_dir for variant in variants]
    if written is None:
        if len(set(given)) > 1:
            raise UserError(
                f"{_OUTPUT_DIR} is not the same in all variants: give it a text with a variable, or without"
            )
        return given[0], [given[0] / _folder_name(v.labels) if v.labels else given[0] for v in variants]
    if "${simulation}" in written.value:
        problem = "'simulation' lies in this folder, and cannot be part of its name"
        raise ConfigError([Problem(written.place, _OUTPUT_DIR, problem)])
    fixed = sum(1 for _ in takewhile(lambda part: not has_variables(part), Path(written.value).parts))
    return Path(*given[0].parts[:fixed]), given


def _folder_name(labels: Mapping[str, str]) -> str:
    """`plane=u,seed=1`, with _ for what is awkward in the name of a folder."""
    return ",".join(f"{name}={_AWKWARD.sub('_', label)}" for name, label in labels.items())


def _events(folder: Path, config: ChainConfig) -> Path:
    assert config.simulate is not None
    return folder / config.simulate.output


def _shares_simulation(variants: Sequence[Variant[ChainConfig]]) -> bool:
    first = variants[0].config
    return (
        bool(variants[0].labels)
        and first.simulate is not None
        and all(variant.config.simulate == first.simulate for variant in variants)
        and len({variant.config.simulation_seed for variant in variants}) == 1
        and all(any(getattr(v.config, step) is not None for step in _LEARNING) for v in variants)
    )


def _placed(variant: Variant[ChainConfig], folder: Path, *, shared: bool) -> Variant[ChainConfig]:
    name = variant.config.run.name
    if "run.name" not in variant.written:
        name = f"{name}, {variant.name}"
    changes: dict[str, object] = {"run": variant.config.run.model_copy(update={"output_dir": folder, "name": name})}
    if shared:
        changes["simulate"] = None
    return dataclasses.replace(variant, config=variant.config.model_copy(update=changes))


def _refuse_overlap(variants: Sequence[Variant[ChainConfig]], folders: Sequence[Path], common: Sequence[Path]) -> None:
    taken = {os.path.abspath(folder): "what is common to all variants" for folder in common}  # noqa: PTH100
    for variant, folder in zip(variants, folders, strict=True):
        path = os.path.abspath(folder)  # noqa: PTH100  also `a/../b`, without asking the file system
        if path in taken:
            _refuse(variants[0], f"{folder} is the folder of {taken[path]} and of variant {variant.name}")
        taken[path] = f"variant {variant.name}"
    for path, owner in taken.items():
        inside = next((other for other in map(str, Path(path).parents) if taken.get(other, "").startswith("v")), None)
        if inside is not None:
            _refuse(variants[0], f"the folder of {owner}, {path}, lies inside that of {taken[inside]}")


def _refuse(first: Variant[ChainConfig], text: str) -> None:
    names = "".join(f"${{{name}}}/" for name in first.labels).rstrip("/")
    cure = f"use every variable in it (.../{names}), or none: then each variant gets a folder in it"
    written = first.written.get(_OUTPUT_DIR)
    if written is None:
        raise UserError(f"{_OUTPUT_DIR}: {text}; give the values names that differ in letters and digits")
    raise ConfigError([Problem(written.place, _OUTPUT_DIR, f"{text}; {cure}")])

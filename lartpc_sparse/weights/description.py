"""What weights are of, and the weights themselves, from a weights file or a checkpoint alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from torch import Tensor

from lartpc_sparse.network import ModelConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.catalogue import name_of
from lartpc_sparse.weights.checkpoint import CHECKPOINT_KEY, read_checkpoint
from lartpc_sparse.weights.weights_file import SUFFIX, read_about, read_tensors

__all__ = ["Description", "describe", "read_state"]

_PREFIX = "network."
"""Of the network's tensors in the state of the LightningModule."""


@dataclass(frozen=True)
class Description:
    """What a file of weights says of itself.

    Attributes:
        path: of the file.
        name: how a chain names it: a name of the package, or the path.
        model: section `model`, as plain values.
        transforms: `data.transforms`, as plain values.
        about: everything else: task, trained_on, metrics, version, git hash, ...
    """

    path: Path
    name: str
    model: Mapping[str, Any]
    transforms: tuple[Any, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def model_config(self) -> ModelConfig:
        """The model.

        Raises:
            UserError: this version of the package, or this installation, does not have one of its parts.
        """
        try:
            return ModelConfig.model_validate(self.model)
        except ValidationError as error:
            raise UserError(
                f"weights {self.name} are of a model that this lartpc_sparse does not know; use the version that wrote "
                f"them ({self.about.get('lartpc_sparse_version', 'unknown')}), and install its parts: {error}"
            ) from error


def describe(path: Path) -> Description:
    """Model, transforms and origin of the weights in a file.

    Raises:
        UserError: missing, damaged, or not of this package.
    """
    if path.suffix == SUFFIX:
        about = read_about(path)
        model, transforms = about.pop("model", None), about.pop("transforms", None)
    else:
        about = dict(read_checkpoint(path)[CHECKPOINT_KEY])
        chain = yaml.safe_load(about.pop("config"))
        model, transforms = chain.get("model"), chain.get("data", {}).get("transforms", [])
        about["chain"] = chain
    if not isinstance(model, dict) or not isinstance(transforms, list):
        raise UserError(f"weights {path} do not say of which model they are")
    return Description(path, name_of(path), model, tuple(transforms), about)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of the network by their names in `Network.state_dict()`.

    Raises:
        UserError: missing, damaged, or not of this package.
    """
    if path.suffix == SUFFIX:
        return read_tensors(path)
    state = read_checkpoint(path)["state_dict"]
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}

"""The file format of weights to hand on: safetensors, which executes no code when it is read.

Header: `format`, `format_version` and `about`, a JSON object with `name`, `task`, `model` and `transforms` (as in a
chain), `training`, `trained_on`, `metrics`, and version and git hash of training and export. Tensors: the state of
`Network` under its own names, as float32, or with float16 for everything of two axes and more (kernels, matrices);
norms and biases stay float32 because running variances do not fit into the range of float16. With storage `int12` a
tensor `t` of two axes and more is stored as `t.int12` and `t.scale` (see `packing`), and the header entry `int12` holds
the shapes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.packing import pack, unpack

__all__ = ["FORMAT", "FORMAT_VERSION", "SUFFIX", "Storage", "read_about", "read_tensors", "write_weights"]

FORMAT = "lartpc_sparse.weights"
FORMAT_VERSION = "1"
SUFFIX = ".safetensors"

Storage = Literal["int12", "float16", "float32"]


def write_weights(path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any], storage: Storage) -> None:
    """Write a weights file, which appears under its name only when complete.

    Args:
        path: of the file; its folder is made.
        state: of a `Network`.
        about: JSON-ready facts.
        storage: of tensors with two axes and more.

    Raises:
        UserError: a weight is not finite, or too large for float16.
    """
    stored: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, value in state.items():
        kept = _stored(name, value, storage).contiguous()
        if storage == "int12" and kept.ndim > 1 and kept.is_floating_point():
            stored[f"{name}.int12"], stored[f"{name}.scale"] = pack(kept)
            shapes[name] = list(kept.shape)
        else:
            stored[name] = kept
    header = {"format": FORMAT, "format_version": FORMAT_VERSION, "about": json.dumps(about, allow_nan=False)}
    if shapes:
        header["int12"] = json.dumps(shapes)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.touch()
    readers = partial.stat().st_mode
    save_file(stored, partial, metadata=header)  # makes a file that its owner alone can read
    partial.chmod(readers)
    partial.replace(path)


def read_about(path: Path) -> dict[str, Any]:
    """What the header says.

    Raises:
        UserError: missing, damaged, or not a weights file of this package.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"weights {path} cannot be read ({error})") from error
    if header.get("format") != FORMAT:
        raise UserError(f"weights {path} were not written by lartpc_sparse: make them with its --export")
    if header.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"weights {path} have format version {header.get('format_version')}, this lartpc_sparse reads "
            f"{FORMAT_VERSION}; use the version of lartpc_sparse that wrote them"
        )
    try:
        about = json.loads(header.get("about", ""))
    except ValueError as error:
        raise UserError(f"weights {path} are damaged: their description is not JSON ({error})") from error
    if not isinstance(about, dict):
        raise UserError(f"weights {path} are damaged: their description is not a JSON object")
    return about


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state, in float32 whatever the storage.

    Raises:
        UserError: missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shapes: dict[str, list[int]] = json.loads((file.metadata() or {}).get("int12", "{}"))
            state: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no iterator
        for name, shape in shapes.items():
            state[name] = unpack(state.pop(f"{name}.int12"), state.pop(f"{name}.scale"), shape)
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"weights {path} are damaged: a tensor does not fit its description ({error})") from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"weights {path} cannot be read ({error})") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _stored(name: str, value: Tensor, storage: Storage) -> Tensor:
    if not value.is_floating_point():
        return value
    stored = value.detach().cpu().to(torch.float16 if storage == "float16" and value.ndim > 1 else torch.float32)
    if not torch.isfinite(stored).all():
        raise UserError(f"{name} has values that are not finite in {stored.dtype}: nothing to hand on")
    return stored

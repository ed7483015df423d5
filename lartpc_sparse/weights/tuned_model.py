"""What the step `tune` has chosen for weights, laid over their model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lartpc_sparse.heads.tuning import with_settings
from lartpc_sparse.weights.catalogue import sha256_of
from lartpc_sparse.weights.description import Description, describe

__all__ = ["describe_tuned", "tuned_model"]


def describe_tuned(path: Path) -> Description:
    """What weights say of themselves, their model with what the step `tune` of their run has chosen.

    Raises:
        UserError: see `describe`.
    """
    described = describe(path)
    return replace(described, model=tuned_model(path, described.model))


def tuned_model(path: Path, model: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """The model with the decoding settings that the step `tune` has chosen with these weights.

    Args:
        path: of the weights.
        model: of the chain.
        folder: of the run that tuned; None: the one that trained.
    """
    folder = path.parent.parent if folder is None else folder
    try:
        tuned = json.loads((folder / "tuned.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return dict(model)
    if tuned.get("weights_sha256") != sha256_of(path):
        return dict(model)
    heads = {name: with_settings(head, tuned["settings"].get(name, {})) for name, head in model["heads"].items()}
    return {**model, "heads": heads}

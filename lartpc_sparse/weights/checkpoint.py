"""Reading the checkpoints that a training writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lartpc_sparse.jobs import input_error
from lartpc_sparse.schema import UserError

__all__ = ["BEST", "CHECKPOINT_KEY", "LAST", "read_checkpoint"]

BEST, LAST = "best.ckpt", "last.ckpt"

CHECKPOINT_KEY = "lartpc_sparse"
"""Entry of a checkpoint that holds version, git hash and resolved configuration."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Contents of a checkpoint, loaded without executing code.

    Raises:
        UserError: missing, damaged, or not written by this package.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; run the train step first, or correct predict.checkpoint")
    try:
        contents: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        if (refused := input_error(path, error)) is not None:
            raise refused from error
        reason = str(error).partition("\n")[0]
        cure = ""
        if path.name == BEST and path.with_name(LAST).is_file():
            cure = f"; take {LAST} beside it (predict.checkpoint: last), or train again (--only train --force)"
        raise UserError(f"checkpoint {path} is damaged or of another program ({reason}){cure}") from error
    if CHECKPOINT_KEY not in contents:
        raise UserError(f"checkpoint {path} was not written by lartpc_sparse")
    return contents

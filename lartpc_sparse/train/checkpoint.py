"""Reading checkpoints, and where a training that wrote one goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lartpc_sparse.schema import UserError
from lartpc_sparse.train.module import CHECKPOINT_KEY

__all__ = ["Position", "position", "read_checkpoint"]


@dataclass(frozen=True)
class Position:
    """Where a training begins: epoch, and batches of it that are done."""

    epoch: int = 0
    batch: int = 0


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
        raise UserError(f"checkpoint {path} is damaged or of another program ({error})") from error
    if CHECKPOINT_KEY not in contents:
        raise UserError(f"checkpoint {path} was not written by lartpc_sparse")
    return contents


def position(checkpoint: dict[str, Any], batches: Sequence[int]) -> Position:
    """Where the run that wrote a checkpoint goes on; from the end of an epoch, with the next one.

    Args:
        checkpoint: from `read_checkpoint`.
        batches: number of batches of each epoch.
    """
    entry = checkpoint[CHECKPOINT_KEY]
    epoch, batch = int(entry["epoch"]), int(entry["batch"])
    if epoch < len(batches) and batch >= batches[epoch]:
        return Position(epoch + 1, 0)
    return Position(epoch, batch)

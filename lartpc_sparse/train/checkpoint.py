"""Where a training that wrote a checkpoint goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lartpc_sparse.weights import CHECKPOINT_KEY

__all__ = ["Position", "position"]


@dataclass(frozen=True)
class Position:
    """Where a training begins: epoch, and batches of it that are done."""

    epoch: int = 0
    batch: int = 0


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

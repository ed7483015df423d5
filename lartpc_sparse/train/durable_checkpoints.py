"""Checkpoints that a full disk, a kill or a power cut cannot harm; the last but one is kept."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lartpc_sparse.jobs import note, output_error, replace_durably
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights import LAST, read_checkpoint

__all__ = ["PREVIOUS", "DurableCheckpoints", "newest_checkpoint"]

logger = logging.getLogger("lartpc_sparse")

PREVIOUS = "previous.ckpt"
"""The last checkpoint but one."""


class DurableCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place, and moves it there once it is on the disk.

    Args:
        before: called before a checkpoint gets its name; brings the log to the disk, so that it never lacks rows of
            steps that a checkpoint knows.
    """

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self._before = before

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """See Lightning's CheckpointIO.

        Raises:
            OutputError: it cannot be written; the checkpoints before are as they were.
        """
        del storage_options
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        content = io.BytesIO()  # torch's own writer hides the number of an error
        torch.save(checkpoint, content)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content.getbuffer())
            self._before()
            if target.name == LAST and target.exists():
                target.replace(target.with_name(PREVIOUS))  # a kill now: the training goes on from this one
            replace_durably(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            found = output_error(error)
            if found is None:
                raise
            raise found from error
        note("checkpoint", path=str(target), step=checkpoint.get("global_step"), bytes=content.tell())


def newest_checkpoint(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """Path and contents of the last checkpoint that can be read, None when there was none yet.

    Raises:
        UserError: there are checkpoints, but none can be read.
    """
    first_error: UserError | None = None
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            contents = read_checkpoint(path)
        except UserError as error:
            first_error = first_error or error
            continue
        if first_error is not None:
            logger.warning("%s; continuing from the one before, of step %s", first_error, contents["global_step"])
        return path, contents
    if first_error is not None:
        raise UserError(f"{first_error}; there is no older one: --force begins the training anew") from first_error
    return None

"""Files that survive a power cut: on the disk before they get their names."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["replace_durably", "sync_folder"]


def replace_durably(partial: Path, path: Path) -> None:
    """Give a written file its name once its bytes are on the disk.

    Raises:
        OSError: the disk is full, or the like; the file at `path` is as before.
    """
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)

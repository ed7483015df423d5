"""Files that survive a power cut: on the disk before they get their names."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["replace_durably", "require_space", "sync_folder"]

_SPARE = 4 << 20
"""Bytes of a disk that are left for what HDF5 writes when it closes a file."""


def replace_durably(partial: Path, path: Path) -> None:
    """Give a written file its name once its bytes are on the disk.

    Raises:
        OSError: the disk is full, or the like; the file at `path` is as before.
    """
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def require_space(path: Path, size: int) -> None:
    """Refuse to write when the disk would be full afterwards.

    HDF5 must not run into a full disk itself: it cannot close a file then, and the process crashes later.

    Args:
        path: file that grows.
        size: bytes that come.

    Raises:
        OSError: no space (ENOSPC).
    """
    found = os.statvfs(path.parent)
    if found.f_bavail * found.f_frsize < size + _SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)

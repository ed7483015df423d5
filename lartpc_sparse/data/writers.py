"""Writers of event files by name, imported only when one is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from lartpc_sparse.data.event import Event
from lartpc_sparse.schema import UserError

__all__ = ["READER_KINDS", "WRITERS", "EventWriter", "writer_class"]


@runtime_checkable
class EventWriter(Protocol):
    """Writes events one after the other; the file appears at its path when the `with` block ends well."""

    def __init__(
        self,
        path: str | Path,
        *,
        image_size: tuple[int, ...],
        classes: tuple[str, ...],
        voxel_size_mm: float | None = None,
        origin: str = "",
        attributes: Mapping[str, str | int | float] | None = None,
    ) -> None: ...

    def __enter__(self) -> Any: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, event: Event) -> None:
        """Append one event.

        Raises:
            ValueError: the event does not fit to the file; the file is as before.
        """
        ...


WRITERS = {
    "voxels": "lartpc_sparse.data.voxel_file:VoxelFileWriter",
    "larcv3": "lartpc_sparse.data.larcv_file:LarcvFileWriter",
}
"""Format -> where its writer is."""

READER_KINDS = {"voxels": "voxels", "larcv3": "larcv_hdf5"}
"""Format -> `kind` of the reader that reads it back."""


def writer_class(name: str) -> type[EventWriter]:
    """The writer of a format.

    Raises:
        UserError: no such format.
    """
    if name not in WRITERS:
        raise UserError(f"no writer for '{name}'; valid: {', '.join(WRITERS)}")
    module, _, attribute = WRITERS[name].partition(":")
    try:
        found: type[EventWriter] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise UserError(f"files of the format '{name}' cannot be written by this version ({error})") from error
    return found

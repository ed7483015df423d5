"""What every reader of files shares: patterns, the numbering of events over files, lazily opened files."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
from pydantic import Field, field_validator

from lartpc_sparse.data.claimed_sizes import check_claimed_sizes
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers.base import ReaderConfig
from lartpc_sparse.data.readers.file_list import resolve_files
from lartpc_sparse.data.readers.global_heap import check_attributes
from lartpc_sparse.jobs import input_error
from lartpc_sparse.schema import BadEventError, UserError

__all__ = [
    "DAMAGE",
    "EventIndex",
    "FileReaderConfig",
    "IndexedEvents",
    "OpenFiles",
    "damage",
    "damage_named",
    "open_hdf5",
    "resolve_files",
]

DAMAGE = (OSError, KeyError, AttributeError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError)
"""What h5py raises on a damaged file."""
CHUNK_CACHE_BYTES = 1 << 19
"""Of each data set of an open file; HDF5's own 8 MiB would be gigabytes over many files, and events come at random."""


class FileReaderConfig(ReaderConfig):
    """Which files, and which of their events; events are numbered in the order of the files."""

    files: tuple[str, ...] = Field(
        min_length=1,
        description="paths or patterns (*, ?, [..], **), sorted inside a pattern, `~` is your home; or list files "
        "(`@files.txt`, or any .txt or .list) with one path or pattern a line, relative to the list",
    )
    select: tuple[int, int] | None = Field(
        default=None, description="use the events start..stop-1 of all files together"
    )
    limit: int | None = Field(default=None, gt=0, description="use the first n events (of the selected ones)")

    @field_validator("select")
    @classmethod
    def _check_select(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(f"select is [start, stop) with 0 <= start < stop, not {list(value)}")
        return value


@dataclass(frozen=True)
class EventIndex:
    """Numbering of events over files: event `index` is entry `entry` of file `file`.

    Attributes:
        files: paths; only the files that were counted.
        offsets: number of events before each file, and in all of them at the end.
        start: the first event used.
        stop: one after the last event used.
    """

    files: tuple[str, ...]
    offsets: tuple[int, ...]
    start: int
    stop: int

    @classmethod
    def build(
        cls,
        files: Sequence[str],
        count: Callable[[str], int],
        select: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> EventIndex:
        """Count the events of the files, as far as needed: files after the last used event stay closed.

        Raises:
            UserError: `select` starts after the last event.
        """
        start, end = select or (0, None)
        if limit is not None:
            end = start + limit if end is None else min(end, start + limit)
        offsets = [0]
        for file in files:
            if end is not None and offsets[-1] >= end:
                break
            offsets.append(offsets[-1] + count(file))
        total = offsets[-1]
        if start and start >= total:
            raise UserError(f"select starts at event {start}, but the {len(files)} files hold {total} events")
        return cls(tuple(files[: len(offsets) - 1]), tuple(offsets), start, total if end is None else min(end, total))

    def __len__(self) -> int:
        return self.stop - self.start

    def key(self, index: int) -> EventKey:
        """File and entry.

        Raises:
            IndexError: index outside 0..E-1.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"event {index} of a reader with {len(self)} events")
        file = bisect_right(self.offsets, self.start + index) - 1
        return EventKey(self.files[file], self.start + index - self.offsets[file])

    def spans(self) -> Iterator[tuple[str, int, int]]:
        """File, first entry and one after the last, of every file with used events, in order."""
        for file, first, last in zip(self.files, self.offsets, self.offsets[1:], strict=False):
            begin, end = max(first, self.start), min(last, self.stop)
            if begin < end:
                yield file, begin - first, end - first


class IndexedEvents:
    """The part of `Reader` that follows from an `EventIndex`."""

    _index: EventIndex

    @property
    def files(self) -> tuple[str, ...]:
        """Paths, in order."""
        return self._index.files

    def __len__(self) -> int:
        return len(self._index)

    def key(self, index: int) -> EventKey:
        """File and entry of an event."""
        return self._index.key(index)


@runtime_checkable
class Closable(Protocol):
    """An open file of any kind."""

    def close(self) -> None:
        """Give the file back."""
        ...


F = TypeVar("F", bound=Closable)


class OpenFiles(Generic[F]):
    """The most recently used files, open; opened again in every process, left out of a pickle."""

    def __init__(self, open_file: Callable[[str], F], max_open: int = 32) -> None:
        self._open_file = open_file
        self._max_open = max_open
        self._files: OrderedDict[str, F] = OrderedDict()
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": OrderedDict()}

    def get(self, path: str) -> F:
        """The open file; opened now if need be, closing the one that was used longest ago."""
        if self._process != os.getpid():  # forked: handles must not be shared with the parent
            self._files, self._process = OrderedDict(), os.getpid()
        if path not in self._files:
            self._files[path] = self._open_file(path)
            if len(self._files) > self._max_open:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]

    def close(self) -> None:
        """Close all files; they open again when needed."""
        while self._files:
            self._files.popitem()[1].close()


def open_hdf5(path: str) -> h5py.File:
    """An HDF5 file for reading.

    Raises:
        UserError: missing, no permission, not HDF5, truncated, or it claims far more than it stores.
    """
    try:  # no locks: many clusters' file systems refuse them, and the file is only read
        file = h5py.File(path, "r", locking=False, rdcc_nbytes=CHUNK_CACHE_BYTES)
    except DAMAGE as error:
        raise input_error(path, error) or UserError(
            f"{path} cannot be opened as HDF5 ({error}); it is not HDF5, or truncated: copy it again"
        ) from error
    try:
        check_claimed_sizes(file, path)
        check_attributes(file)
    except DAMAGE as error:
        file.close()
        raise UserError(f"{path} is damaged ({error}): copy it again") from error
    except UserError:
        file.close()
        raise
    return file


@contextmanager
def damage_named(where: EventKey | str, field: str) -> Iterator[None]:
    """Turn what h5py raises on damaged data into an error that names the place.

    Raises:
        BadEventError: `where` is an event. UserError: `where` is a file.
    """
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        raise damage(where, field, error) from error


def damage(where: EventKey | str, field: str, error: Exception) -> UserError:
    """The error for data that h5py cannot read; BadEventError where `where` is an event."""
    kind = BadEventError if isinstance(where, EventKey) else UserError
    return kind(f"{where}: cannot read {field} ({error}); the file is damaged: copy or make it again")

"""Counts the events of files: from the cache where they are known, else several files at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from types import TracebackType

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.readers.count_cache import CountCache, FileCount, cache_folder
from lartpc_sparse.progress import Progress, track
from lartpc_sparse.schema import UserError

__all__ = ["FileCounter", "joined_voxels"]

MIN_PARALLEL = 200
"""Files to open from which on several processes pay; below, a second at most is at stake."""
MAX_PROCESSES = 16
FILES_A_TASK = 16
Answer = list[FileCount | Exception]


class FileCounter:
    """Answers what is in a file, in the order of `files`; inside a `with` block, at whose end answers are kept.

    Files in the cache are not opened. Many others are visited by several processes ahead of the questions, so that
    slow storage is asked for several at a time, with a progress bar; at most 64 tasks of 16 files are ahead. An error
    of a visit is raised when its file is asked for.

    Args:
        files: paths, in the order in which they will be asked for.
        visit: opens one file and looks; a function of a module, or a `functools.partial` of one.
        signature: see `CountCache`.

    Attributes:
        found: the answers given so far.
        opened: number of files that had to be opened.

    Raises:
        UserError: what `visit` raises.
    """

    def __init__(self, files: Sequence[str], visit: Callable[[str], FileCount], signature: str) -> None:
        self._files = files
        self._visit = visit
        self._cache = CountCache(signature, cache_folder())
        self._known: dict[str, FileCount] = {}
        self._waiting: deque[tuple[list[str], Future[Answer]]] = deque()
        self._ahead: dict[str, FileCount | Exception] = {}
        self._todo: deque[str] = deque()
        self._pool: ProcessPoolExecutor | None = None
        self._bar: Progress | None = None
        self._stack = ExitStack()
        self._new: dict[str, FileCount] = {}
        self.found: dict[str, FileCount] = {}

    @property
    def opened(self) -> int:
        """Number of files that had to be opened."""
        return len(self._new)

    def __enter__(self) -> FileCounter:
        self._known = self._cache.load(self._files)
        self._todo = deque(file for file in self._files if file not in self._known)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, future in self._waiting:
            future.cancel()
        self._stack.close()
        self._pool = self._bar = None
        self._cache.save(self._new)

    def look_ahead(self) -> None:
        """Let other processes visit all files from now on, in the background of whatever comes before the questions."""
        if len(self._todo) >= MIN_PARALLEL and _may_fork():
            self._start()
            assert self._pool is not None
            self._submit(self._pool, len(self._todo))

    def num_events(self, file: str) -> int:
        """Events of a file."""
        return self.count(file).num_events

    def count(self, file: str) -> FileCount:
        """What is in a file."""
        if file not in self.found:
            known = self._known.get(file)
            if known is None:
                known = self._new[file] = self._look(file)
            self.found[file] = known
        return self.found[file]

    def _look(self, file: str) -> FileCount:
        if self._pool is None and len(self._todo) >= MIN_PARALLEL and _may_fork():
            self._start()
        if self._pool is None:
            return self._visit(file)
        while file not in self._ahead:
            self._submit(self._pool, 4 * MAX_PROCESSES)
            if not self._waiting:  # asked for out of order
                return self._visit(file)
            if self._bar is None:
                total = len(self._todo) + sum(len(names) for names, _ in self._waiting)
                self._bar = self._stack.enter_context(track("count events", total=total, unit="files"))
            names, future = self._waiting.popleft()
            try:
                self._ahead.update(zip(names, future.result(), strict=True))
            except BrokenExecutor as error:
                raise UserError(
                    f"a process that counted events died at one of {len(names)} files, {names[0]} to {names[-1]}; look "
                    "for a damaged one with python -m lartpc_sparse.data.inspect"
                ) from error
            self._bar.advance(len(names))
        answer = self._ahead.pop(file)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self) -> None:
        processes = min(MAX_PROCESSES, 2 * (os.cpu_count() or 1))
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(processes, mp_context=context)
        self._stack.callback(pool.shutdown, cancel_futures=True)
        self._pool = pool

    def _submit(self, pool: ProcessPoolExecutor, most_tasks: int) -> None:
        while self._todo and len(self._waiting) < most_tasks:
            names = [self._todo.popleft() for _ in range(min(FILES_A_TASK, len(self._todo)))]
            self._waiting.append((names, pool.submit(_visit_all, self._visit, names)))


def _visit_all(visit: Callable[[str], FileCount], files: list[str]) -> Answer:
    answers: Answer = []
    for file in files:
        try:
            answers.append(visit(file))
        except Exception as error:  # raised in the process that asks
            answers.append(error)
    return answers


def _may_fork() -> bool:
    """Whether processes can be started here: not on Windows and macOS, and not inside a worker of a loader."""
    can = "fork" in multiprocessing.get_all_start_methods() and os.uname().sysname != "Darwin"
    return can and not multiprocessing.current_process().daemon


def joined_voxels(parts: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, " E"]:
    """Voxels of every event, from those of the files."""
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

"""SIGTERM and SIGUSR1: the batch system wants the machine back.

Most steps stop at once, because their finished parts are on the disk. A training first ends its step and saves.
"""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lartpc_sparse.jobs.errors import Stopped
from lartpc_sparse.jobs.event_log import note

__all__ = ["SIGNALS", "StopSignals", "end_readers_with_the_job", "leave_signals_to_the_job", "stopping_at_once"]

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def stopping_at_once() -> Iterator[None]:
    """Raise `Stopped` in the block when a signal comes; elsewhere than in the main thread nothing is changed."""

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        for other in SIGNALS:  # once: cleaning up must not be interrupted
            signal.signal(other, signal.SIG_IGN)
        note("signal", signal=signal.Signals(number).name)
        raise Stopped(signal.Signals(number).name)

    with _handled(handle):
        yield


def leave_signals_to_the_job(worker: int) -> None:
    """For `worker_init_fn` of a DataLoader: the process that reads ahead ignores what stops the job.

    A batch system signals every process of a job. A reader that died of it would end the training with an error before
    it can save; it ends with its job, see `end_readers_with_the_job`.
    """
    del worker
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@functools.cache
def end_readers_with_the_job() -> None:
    """At its end this process kills the readers that still live: Python would ask them with SIGTERM, and wait forever.

    They live on when an error holds the loader's iterator; a loader that was read to its end has none.
    """
    atexit.register(_kill_daemons)


def _kill_daemons() -> None:
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


class StopSignals:
    """Remembers signals inside its `with` block.

    Attributes:
        name: of the signal that came; None: none yet.
    """

    def __init__(self) -> None:
        self.name: str | None = None

    @contextmanager
    def noted(self) -> Iterator[StopSignals]:
        """Signals in the block are only remembered; `Stopped` is raised at its end if it ends well."""
        with _handled(self._handle):
            yield self
        if self.name is not None:
            raise Stopped(self.name)

    def listen(self) -> None:
        """Take the signals back from who has taken them inside the block."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.name = signal.Signals(number).name
        note("signal", signal=self.name)


@contextmanager
def _handled(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)

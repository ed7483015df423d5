"""Processes that make the parts of a simulation.

Processes are spawned, not forked: Geant4 keeps one run manager a process, which must start in it. Each has a pipe of
its own and ends when the other end is closed, so that none outlives a main process that is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from lartpc_sparse.data.event_parts import EventPart
from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.simulate.parts import PartPlan, write_part

__all__ = ["simulate_parts"]


def simulate_parts(
    plan: PartPlan, parts: Sequence[EventPart], processes: int, tell: Callable[[int, int], None]
) -> None:
    """Write the parts with several processes; every part by one of them.

    Args:
        plan: of the whole simulation.
        parts: those to write.
        processes: the most processes at a time.
        tell: called with the numbers of events and of bad events that are new.

    Raises:
        UserError: what a process could not do; the others are stopped, finished parts stay.
    """
    context = multiprocessing.get_context("spawn")
    waiting = list(parts)
    running: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(processes, len(parts))):
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=_work, args=(plan, there), daemon=True)
            process.start()
            there.close()
            running[here] = process
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                if not _attend(connection, running[connection], waiting, tell):
                    connection.close()
                    running.pop(connection).join()
    finally:
        for connection, process in running.items():
            process.terminate()
            process.join()
            connection.close()


def _attend(
    connection: Connection, process: BaseProcess, waiting: list[EventPart], tell: Callable[[int, int], None]
) -> bool:
    """Handle one message of a process; False when it has ended."""
    try:
        what, value = connection.recv()
    except (EOFError, OSError):
        process.join()
        if process.exitcode:
            raise UserError(
                f"a simulating process died (exit code {process.exitcode}; negative: killed by that signal, -9 is "
                "often the lack of memory: use fewer `processes`); finished parts are kept, run again to continue"
            ) from None
        return False
    if what == "idle":
        connection.send(waiting.pop(0) if waiting else None)
    elif what == "made":
        tell(*value)
    else:
        kind = {"bad": BadEventError, "refused": UserError}.get(what, RuntimeError)
        raise kind(value)
    return True


def _work(plan: PartPlan, connection: Connection) -> None:
    """The life of a process."""
    main = os.getppid()

    def tell(events: int, bad: int) -> None:
        if os.getppid() != main:
            raise SystemExit  # the main process is gone; the unfinished part goes with us
        connection.send(("made", (events, bad)))

    try:
        _write_parts(plan, connection, tell)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:  # the main process raises it again
        what = "bad" if isinstance(error, BadEventError) else "refused" if isinstance(error, UserError) else "failed"
        with suppress(OSError):
            connection.send((what, traceback.format_exc() if what == "failed" else str(error)))


def _write_parts(plan: PartPlan, connection: Connection, tell: Callable[[int, int], None]) -> None:
    """Ask for parts and write them until there are no more."""
    source = plan.source.build()
    while True:
        connection.send(("idle", None))
        part = connection.recv()
        if part is None:
            return
        write_part(plan, part, source, tell)

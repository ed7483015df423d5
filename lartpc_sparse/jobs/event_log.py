"""One JSON line for each event of note: steps, progress, warnings, checkpoints, signals.

Events are records of Python's logging, so that every part of the package can note them without knowing the log.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["EVENTS", "EventLog", "note"]

EVENTS = "lartpc_sparse.events"
"""Logger of the events; they do not reach the terminal."""


def note(event: str, **values: Any) -> None:
    """Write a line to the event log of this process, if it keeps one.

    Args:
        event: what happened, e.g. `checkpoint`.
        **values: JSON-ready.
    """
    logging.getLogger(EVENTS).info(event, extra={"event": {"event": event, **values}})


class EventLog(logging.Handler):
    """Appends events, and the package's warnings, to a file.

    Every line has `time` (UTC), `monotonic_s` (cannot jump), `host`, `pid`, `rank` and `event`. A line is written with
    one call, so that several ranks can share the file, and a disk that is full loses lines, not the job.

    Args:
        path: of the file; its folder is there.
        rank: of this process.

    Attributes:
        progress: the last event `progress`, with what it counted.
        ended: the last one of each piece of work, by its name.
    """

    def __init__(self, path: Path, rank: int = 0) -> None:
        super().__init__(logging.INFO)
        self.path = path
        self.progress: dict[str, Any] = {}
        self.ended: dict[str, dict[str, Any]] = {}
        self._common = {"host": socket.gethostname(), "pid": os.getpid(), "rank": rank}

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        values: dict[str, Any] | None = getattr(record, "event", None)
        if values is None:
            values = {"event": record.levelname.lower(), "message": record.getMessage()}
        if values["event"] == "progress":
            self.progress = dict(values)
            if values["state"] == "ended":
                self.ended[values["of"]] = self.progress
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "monotonic_s": round(time.monotonic(), 3),
            **self._common,
            **values,
        }
        try:
            text = json.dumps(line, default=str) + "\n"
            number = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(number, text.encode())
            finally:
                os.close(number)
        except OSError:
            return  # what cannot be written must not stop the job; the step itself will say that the disk is full

    def attach(self) -> None:
        """Receive what the package logs, and the events."""
        logging.getLogger("lartpc_sparse").addHandler(self)
        events = logging.getLogger(EVENTS)
        events.setLevel(logging.INFO)
        events.propagate = False
        events.addHandler(self)

    def detach(self) -> None:
        """The opposite of `attach`."""
        logging.getLogger("lartpc_sparse").removeHandler(self)
        logging.getLogger(EVENTS).removeHandler(self)

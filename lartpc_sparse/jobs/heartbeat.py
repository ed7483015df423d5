"""A file that is written again and again while a job lives."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Heartbeat"]


class Heartbeat:
    """Writes `heartbeat.json` every `interval_s` seconds in a thread, inside a `with` block.

    `beat` counts up by one; whoever watches the file compares the count with an earlier one, and no clocks. `time` is
    for people.

    Args:
        path: of the file.
        status: gives what else to write: step, units done.
        interval_s: seconds between two beats.
    """

    def __init__(self, path: Path, status: Callable[[], dict[str, Any]], interval_s: float = 10.0) -> None:
        self._path, self._status, self._interval_s = path, status, interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._beat = 0

    def __enter__(self) -> Heartbeat:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._write(alive=False)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._write()

    def _write(self, *, alive: bool = True) -> None:
        self._beat += 1
        values = {
            "beat": self._beat,
            "alive": alive,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **self._status(),
        }
        with suppress(OSError):  # a full disk is for the step to say
            partial = self._path.with_name(self._path.name + ".partial")
            partial.write_text(json.dumps(values, default=str) + "\n", encoding="utf-8")
            partial.replace(self._path)


def beat_of(path: Path) -> tuple[str, int, int] | None:
    """Host, process and count of the last beat in a file; None where there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return str(values["host"]), int(values["pid"]), int(values["beat"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

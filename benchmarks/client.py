"""The other end of a worker: starts it, sends commands, reads answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.contestant import Unavailable
from benchmarks.registry import REGISTRY

__all__ = ["Client", "WorkerFailed"]

REPOSITORY = Path(__file__).resolve().parent.parent


class WorkerFailed(Exception):  # noqa: N818  (says what failed)
    """A worker raised or died; the message is its last word."""


class Client:
    """A running worker, to be used in a `with` statement."""

    def __init__(self, name: str, *, device: str = "cpu", threads: int = 2) -> None:
        self.name = name
        threads = REGISTRY[name].threads or threads
        self.environment = {"OMP_NUM_THREADS": str(threads), **REGISTRY[name].environment}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (lives as long as the worker)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", name, device, str(threads)],
            cwd=REPOSITORY,
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """Have a command carried out.

        Raises:
            Unavailable: the contestant cannot do this here.
            WorkerFailed: it raised or died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerFailed(self._last_words()) from error
        line = self.process.stdout.readline()
        if not line:
            raise WorkerFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        self.process.wait()
        self.log.seek(0)
        lines = self.log.read().strip().splitlines()
        return f"the worker ended with code {self.process.returncode}: {lines[-1] if lines else 'no message'}"

    def close(self) -> None:
        """End the worker."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.log.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

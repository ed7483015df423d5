"""One line a run, so that a slow-down is seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measure import CaseResult
from benchmarks.spread import Spread

__all__ = ["SLOWER", "append_entry", "history_entry", "last_entry", "slow_downs"]

SLOWER = 1.05
"""A median that has grown less than this is no slow-down, however small the spread."""


def history_entry(results: Sequence[CaseResult], *, commit: str, when: str, key: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a run; only entries with the same `key` (machine, threads, device) are compared."""
    times = {
        f"{case.name} {mode} {name}": asdict(Spread.of(seconds))
        for case in results
        for name, found in case.contestants.items()
        for mode, seconds in found.seconds.items()
    }
    return {"when": when, "commit": commit, "key": dict(key), "seconds": times}


def append_entry(path: Path, entry: Mapping[str, Any]) -> None:
    """Add a line."""
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def last_entry(path: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last line of the same key, if any.

    Raises:
        ValueError: a line that is not JSON; the message names file and line.
    """
    found = None
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], start=1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} line {number} is not JSON ({error}); mend or remove it") from error
        if entry["key"] == dict(key):
            found = entry
    return found


def slow_downs(entry: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """A line for everything whose quartiles lie above those of the earlier entry, and the median by `SLOWER`."""
    for what, now in entry["seconds"].items():
        then = before["seconds"].get(what)
        if then and now["low"] > then["high"] and now["median"] > SLOWER * then["median"]:
            yield (
                f"{what}: {now['median'] * 1e3:.1f} ms, {now['median'] / then['median']:.2f} x the "
                f"{then['median'] * 1e3:.1f} ms of {before['when']} ({before['commit']})"
            )

"""How far long work has come: a bar on a terminal, plain lines in a batch log; both on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import SupportsFloat

import rich.progress
from rich.console import Console

__all__ = ["Progress", "ProgressOptions", "track"]

_events = logging.getLogger("lartpc_sparse.events")
_events.propagate = False  # for the log of a job; a terminal that shows what is logged has the lines below


@dataclass(frozen=True)
class ProgressOptions:
    """What `Progress` shows.

    Attributes:
        title: what is being done, "predict".
        total: units in all; None when unknown (then neither percentage nor time left).
        unit: what is counted, "events".
        rate: what the shown rate counts, "voxels"; fed as `advance(n, voxels=...)`. None: the units.
        start: units done before, by the run that this one resumes; they do not count in the rate.
        interval_s: least time between two lines in a log, in seconds.
        show: False prints nothing (the other ranks of a distributed job).

    Raises:
        ValueError: a negative number, or a start beyond the total.
    """

    title: str
    total: int | None = None
    unit: str = "events"
    rate: str | None = None
    start: int = 0
    interval_s: float = 30.0
    show: bool = True

    def __post_init__(self) -> None:
        if self.start < 0 or self.interval_s < 0 or (self.total is not None and self.total < self.start):
            raise ValueError(
                f"progress of '{self.title}': need 0 <= start <= total and interval_s >= 0, got "
                f"start={self.start}, total={self.total}, interval_s={self.interval_s}"
            )


class Progress:
    """Counts units of work inside a `with` block and shows them.

    The rate is the mean since the block was entered.

    Args:
        options: what to show.
        console: where to show it; default stderr.
        clock: monotonic time in seconds.

    Attributes:
        done: units done so far, those before `start` included.
    """

    def __init__(
        self,
        options: ProgressOptions,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options
        self.done = options.start
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._begin = self._last_line = self._last_event = clock()
        self._work = 0.0
        self._numbers: dict[str, float] = {}
        self._bar: rich.progress.Progress | None = None
        self._task = rich.progress.TaskID(0)

    def __enter__(self) -> Progress:
        self._begin = self._last_line = self._last_event = self._clock()
        terminal = self._console.is_terminal and not self._console.is_dumb_terminal
        if self.options.show and (terminal or self._console.is_jupyter):
            self._bar = _bar(self._console, self._clock)
            self._task = self._bar.add_task(
                self.options.title, total=self.options.total, completed=self.done, text=self._text()
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.options.show:
            self._print_line("stopped at " if kind else "")
        self._note("stopped" if kind else "ended")

    def advance(self, n: int = 1, **numbers: SupportsFloat) -> None:
        """Adds `n` units.

        Args:
            n: units done since the last call.
            **numbers: shown with their latest value, `loss=0.31`; the one named `rate` in the options is
                added up for the rate instead, and needed whenever `n` is not 0.

        Raises:
            ValueError: `n` is negative, or the number for the rate is missing.
        """
        if n < 0:
            raise ValueError(f"progress of '{self.options.title}': cannot advance by {n}")
        values = {name: _number(value) for name, value in numbers.items()}
        rate = self.options.rate
        if rate is not None and n and rate not in values:
            raise ValueError(f"progress of '{self.options.title}': advance() needs {rate}=... for the rate")
        self._work += n if rate is None else values.pop(rate, 0)
        self._numbers |= values
        self.done += n
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, text=self._text())
        elif self.options.show and self._clock() - self._last_line >= self.options.interval_s:
            self._print_line()
        if self._clock() - self._last_event >= self.options.interval_s:
            self._note("going on")

    def _note(self, state: str) -> None:
        """An event for the log of the job, see `lartpc_sparse.jobs.event_log`."""
        self._last_event = self._clock()
        elapsed = self._last_event - self._begin
        values = {
            "event": "progress",
            "of": self.options.title,
            "state": state,
            "done": self.done,
            "total": self.options.total,
            "unit": self.options.unit,
            "seconds": round(elapsed, 3),
            self.options.rate or self.options.unit: self._work,
            "rate": self._work / elapsed if elapsed > 0 else None,
            "rate_unit": f"{self.options.rate or self.options.unit}/s",
            **self._numbers,
        }
        _events.info("progress", extra={"event": values})

    def _text(self) -> str:
        """Count, rate and numbers, as both forms show them."""
        options = self.options
        total = "" if options.total is None else f"/{_count(options.total)}"
        elapsed = self._clock() - self._begin
        parts = [f"{_count(self.done)}{total} {options.unit}"]
        if elapsed > 0 and self._work > 0:
            parts.append(f"{_rate(self._work / elapsed)} {options.rate or options.unit}/s")
        parts += [f"{name} {_count(value)}" for name, value in self._numbers.items()]
        return ", ".join(parts)

    def _print_line(self, prefix: str = "") -> None:
        self._last_line = self._clock()
        elapsed, total = self._last_line - self._begin, self.options.total
        percent = left = ""
        if total is not None:
            percent = f"{100 * self.done / total if total else 100:.0f} %, "
            worked = self.done - self.options.start
            if worked > 0 and self.done < total:
                left = f", left {_duration(elapsed * (total - self.done) / worked)}"
        line = f"{self.options.title}: {prefix}{percent}{self._text()}, elapsed {_duration(elapsed)}{left}"
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def track(
    title: str,
    *,
    total: int | None = None,
    unit: str = "events",
    rate: str | None = None,
    start: int = 0,
    interval_s: float = 30.0,
    show: bool = True,
) -> Progress:
    """A `Progress` on stderr; the arguments are those of `ProgressOptions`.

    Example:
        >>> with track("train", total=2, unit="steps", rate="voxels", show=False) as bar:
        ...     bar.advance(1, voxels=12_000, loss=0.71, epoch=0)
        ...     bar.advance(1, voxels=11_000, loss=0.64, epoch=0)
        >>> bar.done
        2
    """
    return Progress(ProgressOptions(title, total, unit, rate, start, interval_s, show))


def _bar(console: Console, clock: Callable[[], float]) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(bar_width=24),
        rich.progress.TaskProgressColumn(),
        rich.progress.TextColumn("{task.fields[text]}", markup=False),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("left"),
        rich.progress.TimeRemainingColumn(),
        console=console,
        get_time=clock,
        # Output of the program that goes to a file or pipe must not be drawn above the bar.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=sys.stderr.isatty(),
    )


def _number(value: SupportsFloat) -> float:
    return value if isinstance(value, int) else float(value)


def _count(value: float) -> str:
    """A whole number in full, anything else with four digits."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _rate(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))

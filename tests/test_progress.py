"""Progress: plain lines in a log, a bar on a terminal; the clock is the test's own."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lartpc_sparse.progress import Progress, ProgressOptions, track


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def log(options: ProgressOptions) -> tuple[Progress, Clock, io.StringIO]:
    """Progress on something that is not a terminal."""
    clock, stream = Clock(), io.StringIO()
    return Progress(options, Console(file=stream, width=40), clock), clock, stream


def test_lines_in_a_log_come_at_the_interval_and_at_the_end() -> None:
    progress, clock, stream = log(ProgressOptions("predict", total=100, interval_s=30))
    with progress as bar:
        for _ in range(10):
            clock.now += 10
            bar.advance(10, loss=0.123456)
    assert stream.getvalue().splitlines() == [
        "predict: 30 %, 30/100 events, 1 events/s, loss 0.1235, elapsed 0:00:30, left 0:01:10",
        "predict: 60 %, 60/100 events, 1 events/s, loss 0.1235, elapsed 0:01:00, left 0:00:40",
        "predict: 90 %, 90/100 events, 1 events/s, loss 0.1235, elapsed 0:01:30, left 0:00:10",
        "predict: 100 %, 100/100 events, 1 events/s, loss 0.1235, elapsed 0:01:40",
    ]


def test_interval_zero_prints_every_call() -> None:
    progress, _, stream = log(ProgressOptions("x", total=2, interval_s=0))
    with progress as bar:
        bar.advance()
        bar.advance()
    assert len(stream.getvalue().splitlines()) == 3


def test_no_control_codes_in_a_log() -> None:
    progress, clock, stream = log(ProgressOptions("[bold]x", total=1, interval_s=0))
    with progress as bar:
        clock.now += 1
        bar.advance(1)
    assert stream.getvalue().startswith("[bold]x: 100 %")
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_rate_of_something_else_is_added_up() -> None:
    progress, clock, stream = log(ProgressOptions("train", total=4, unit="steps", rate="voxels"))
    with progress as bar:
        clock.now += 1
        bar.advance(1, voxels=10_000, epoch=0)
        clock.now += 1
        bar.advance(1, voxels=30_000, epoch=1)
    line = stream.getvalue()
    assert "20,000 voxels/s" in line
    assert "epoch 1" in line
    assert "voxels 30" not in line


def test_numbers_keep_their_last_value_and_order() -> None:
    progress, _, stream = log(ProgressOptions("x"))
    with progress as bar:
        bar.advance(1, loss=2.0, epoch=3)
        bar.advance(1, epoch=4)
    assert "loss 2, epoch 4" in stream.getvalue()


def test_resumed_work_counts_in_the_percentage_but_not_in_the_rate() -> None:
    progress, clock, stream = log(ProgressOptions("train", total=100, start=50, unit="steps"))
    with progress as bar:
        clock.now += 10
        bar.advance(10)
    assert stream.getvalue() == "train: 60 %, 60/100 steps, 1 steps/s, elapsed 0:00:10, left 0:00:40\n"
    assert bar.done == 60


def test_unknown_total() -> None:
    progress, clock, stream = log(ProgressOptions("count"))
    with progress as bar:
        clock.now += 2
        bar.advance(5)
    assert stream.getvalue() == "count: 5 events, 2.5 events/s, elapsed 0:00:02\n"


def test_nothing_to_do() -> None:
    progress, _, stream = log(ProgressOptions("empty", total=0))
    with progress:
        pass
    assert stream.getvalue() == "empty: 100 %, 0/0 events, elapsed 0:00:00\n"


def test_nan_is_shown_as_nan() -> None:
    progress, _, stream = log(ProgressOptions("x"))
    with progress as bar:
        bar.advance(1, loss=float("nan"))
    assert "loss nan" in stream.getvalue()


def test_an_exception_leaves_a_line_that_says_so() -> None:
    progress, _, stream = log(ProgressOptions("predict", total=4))

    def fail() -> None:
        with progress as bar:
            bar.advance(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stream.getvalue().startswith("predict: stopped at 25 %, 1/4 events")


def test_show_false_prints_nothing() -> None:
    progress, _, stream = log(ProgressOptions("x", total=1, interval_s=0, show=False))
    with progress as bar:
        bar.advance(1)
    assert stream.getvalue() == ""
    assert bar.done == 1


def test_bar_on_a_terminal() -> None:
    clock, stream = Clock(), io.StringIO()
    console = Console(file=stream, force_terminal=True, width=140, legacy_windows=False, _environ={"TERM": "xterm"})
    with Progress(ProgressOptions("train", total=4, unit="steps", rate="voxels"), console, clock) as bar:
        clock.now += 1
        bar.advance(1, voxels=5_000, loss=0.25)
        clock.now += 1
        bar.advance(2, voxels=5_000, loss=0.5)
    text = stream.getvalue()
    assert "\x1b" in text
    last = text[text.rindex("train") :]
    assert "75%" in last
    assert "3/4 steps, 5,000 voxels/s, loss 0.5" in last
    assert "elapsed" not in text  # the line of a log


def test_dumb_terminal_gets_plain_lines() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system=None, _environ={"TERM": "dumb"})
    with Progress(ProgressOptions("x", total=1), console, Clock()) as bar:
        bar.advance(1)
    assert stream.getvalue().startswith("x: 100 %")


def test_track_writes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with track("predict", total=2, unit="files") as bar:
        bar.advance(2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("predict: 100 %, 2/2 files")


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="0 <= start <= total"):
        ProgressOptions("x", total=3, start=4)
    with pytest.raises(ValueError, match="interval_s"):
        ProgressOptions("x", interval_s=-1)
    bar, _, _ = log(ProgressOptions("x", rate="voxels"))
    with pytest.raises(ValueError, match="cannot advance by -1"):
        bar.advance(-1)
    with pytest.raises(ValueError, match=r"needs voxels=\.\.\. for the rate"):
        bar.advance(1, loss=1.0)
    bar.advance(0, loss=1.0)
    assert bar.done == 0

"""The history: only like is compared with like, and a slow-down is beyond the spread."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.history import append_entry, history_entry, last_entry, slow_downs
from benchmarks.measure import CaseResult, ContestantResult
from benchmarks.network import LevelCounts

KEY = {"processor": "a", "threads": 2, "device": "cpu"}


def entry_of(seconds: list[float], key: dict[str, object] = KEY) -> dict[str, object]:
    case = CaseResult("small", "text", LevelCounts((1,), (1,)), 1.0, 1)
    case.contestants["cpu"] = ContestantResult({}, {}, seconds={"inference": seconds})
    return history_entry([case], commit="abc", when="today", key=key)


def test_the_last_entry_of_the_same_machine_is_found(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert last_entry(path, KEY) is None
    first, second, other = entry_of([1.0]), entry_of([2.0]), entry_of([3.0], {**KEY, "threads": 1})
    for entry in (first, second, other):
        append_entry(path, entry)
    assert last_entry(path, KEY) == second
    assert last_entry(path, {**KEY, "processor": "b"}) is None


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_entry(path, entry_of([1.0]))
    with path.open("a") as file:
        file.write("{half\n")
    with pytest.raises(ValueError, match=r"history.jsonl line 2"):
        last_entry(path, KEY)


@pytest.mark.parametrize(
    ("before", "now", "slower"),
    [
        ([0.010, 0.011, 0.012], [0.020, 0.021, 0.022], True),
        ([0.010, 0.011, 0.030], [0.012, 0.013, 0.014], False),  # within the spread
        ([0.010, 0.010, 0.010], [0.0102, 0.0102, 0.0102], False),  # 2 %
        ([0.020, 0.021, 0.022], [0.010, 0.011, 0.012], False),
    ],
)
def test_only_what_lies_beyond_the_spread_is_slower(before: list[float], now: list[float], slower: bool) -> None:
    lines = list(slow_downs(entry_of(now), entry_of(before)))
    assert len(lines) == slower
    if slower:
        assert lines[0].startswith("small inference cpu: 21.0 ms, 1.91 x the 11.0 ms")


def test_what_is_new_is_not_slower() -> None:
    new = entry_of([9.0])
    assert not list(slow_downs(new, {"seconds": {}, "when": "", "commit": ""}))

"""`python -m benchmarks` from end to end, on the smallest case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import compare
from benchmarks.machine import Load
from benchmarks.measure import CaseResult, ContestantResult
from benchmarks.network import LevelCounts
from benchmarks.options import parse_options


@pytest.mark.slow
def test_quick_run_of_one_engine_leaves_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = tmp_path / "history.jsonl"
    arguments = ["--quick", "--cases", "tiny", "--engines", "torch", "--threads", "1", "--busy-ok"]
    command.main([*arguments, "--output", str(tmp_path), "--history", str(history)])
    record = json.loads((tmp_path / "bench.json").read_text())
    (case,) = record["cases"]
    found = case["contestants"]["torch"]
    assert {mode: len(times) for mode, times in found["seconds"].items()} == {"inference": 3, "training": 3, "plan": 3}
    assert all(seconds > 0 for times in found["seconds"].values() for seconds in times)
    assert 50 < found["memory"]["inference"]["peak_mb"] < 5_000
    assert found["agreement"]["output"] == 0.0
    assert found["environment"]["OMP_NUM_THREADS"] == "1"
    assert record["machine"]["packages"]["torch"] in found["settings"]["torch"]
    assert record["git_hash"]
    assert case["left_out"] == {}
    assert not history.exists()  # neither quick runs nor busy machines
    printed = capsys.readouterr().out
    assert "tiny, inference" in printed
    assert "tiny, training" in printed
    if "no figure" not in printed:
        assert (tmp_path / "bench.png").stat().st_size > 1_000
        assert (tmp_path / "bench.svg").read_text().startswith("<?xml")


def test_full_runs_are_kept_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(seconds: float) -> str:
        result = CaseResult("tiny", "text", LevelCounts((1,), (1,)), 1.0, 1)
        result.contestants["torch"] = ContestantResult({}, {}, seconds={"inference": [seconds] * 3})
        monkeypatch.setattr(compare, "measure_case", lambda *_: result)
        command.main(["--cases", "tiny", "--threads", "1", "--output", str(tmp_path), "--history", str(history)])
        return capsys.readouterr().out

    monkeypatch.setattr(command, "measure_load", lambda: Load(0.0, 0.0, ()))
    monkeypatch.setattr(compare, "measure_fma_peak", lambda _: 100.0)
    monkeypatch.setattr(compare, "_draw", lambda *_: None)  # drawn in the test above
    history = tmp_path / "history.jsonl"
    assert "no earlier run" in run(0.1)
    assert "not slower than before" in run(0.1)
    assert "slower than before: tiny inference torch: 200.0 ms, 2.00 x the 100.0 ms" in run(0.2)
    assert "not slower than before" in run(0.2)  # the last entry counts
    assert [json.loads(line)["seconds"]["tiny inference torch"]["median"] for line in history.open()] == [
        pytest.approx(seconds) for seconds in (0.1, 0.1, 0.2, 0.2)
    ]


@pytest.mark.slow
def test_plan_curve_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--engines", "torch", "--repeats", "1", "--threads", "1", "--busy-ok", "--output", str(tmp_path)]
    command.main(["plan", "--max-voxels", "1000", *common])
    assert len(json.loads((tmp_path / "plan.json").read_text())["seconds"]["torch"]["plan"]) == 1
    assert "1,000" in capsys.readouterr().out


def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--repeats", "0"])
    assert "at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="'magic'"):
        command.main(["--engines", "magic", "--busy-ok"])
    assert parse_options(["--device", "cuda"]).cases == ("gpu32",)
    assert parse_options(["--quick"]).repeats == 3

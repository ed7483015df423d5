"""The machine: busy or not, memory, peak."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import machine
from benchmarks.__main__ import refuse_busy_machine
from benchmarks.fma_peak import NoCompiler, measure_fma_peak
from benchmarks.machine import Load, measure_load, peak_memory_mb


def write_proc(proc: Path, *, busy: int, stolen: int, python: int) -> None:
    (proc / "4242").mkdir(parents=True, exist_ok=True)
    (proc / "stat").write_text(f"cpu {busy} 0 0 1000 0 0 0 {stolen} 0 0\ncpu0 0\n")
    fields = ["S"] + ["0"] * 10 + [str(python), "0"] + ["0"] * 10
    (proc / "4242" / "stat").write_text(f"4242 (odd) name) {' '.join(fields)}\n")


@pytest.mark.parametrize(("used", "stolen", "busy"), [(0.5, 0.0, True), (0.02, 0.0, False), (0.0, 0.4, True)])
def test_use_by_others_is_seen_and_named(
    used: float, stolen: float, busy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_proc(tmp_path, busy=1000, stolen=100, python=500)
    monkeypatch.setattr(machine, "_PROC", tmp_path)
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))

    def two_seconds(_: float) -> None:
        ticks = round(200 * used)
        write_proc(tmp_path, busy=1000 + ticks, stolen=100 + round(200 * stolen), python=500 + ticks)

    monkeypatch.setattr(time, "sleep", two_seconds)
    load = measure_load()
    assert load.cores == pytest.approx(used + stolen)
    assert load.stolen == pytest.approx(stolen)
    assert load.is_busy == busy
    assert load.processes == ((("odd) name", pytest.approx(used)),) if used else ())


def test_a_busy_machine_is_refused_by_name() -> None:
    busy = Load(1.2, 0.0, (("stress", 1.1),))
    with pytest.raises(SystemExit, match=r"stress \(1.10\).*--busy-ok"):
        refuse_busy_machine(busy, busy_ok=False)
    with pytest.raises(SystemExit, match="cannot be read"):
        refuse_busy_machine(None, busy_ok=False)
    refuse_busy_machine(busy, busy_ok=True)
    refuse_busy_machine(Load(0.05, 0.0, ()), busy_ok=False)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory_is_the_process_s_own() -> None:
    ballast = np.ones(40_000_000)  # 320 MB
    assert peak_memory_mb() > 320
    code = "from benchmarks.machine import peak_memory_mb; print(peak_memory_mb())"
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(machine.__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert 1 < float(child.stdout) < 100
    assert ballast[0] == 1


def test_peak_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        peak = measure_fma_peak(1, seconds=0.01, repeats=1)
    except NoCompiler as reason:
        pytest.skip(str(reason))
    assert 0.1 < peak < 10_000
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoCompiler, match="apt install gcc"):
        measure_fma_peak(1)

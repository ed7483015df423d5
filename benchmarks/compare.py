"""`python -m benchmarks`: every contestant on every case, tables, JSON, figure and history."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.fma_peak import NoCompiler, measure_fma_peak
from benchmarks.history import append_entry, history_entry, last_entry, slow_downs
from benchmarks.limits import Limits, measure_cuda_limits
from benchmarks.machine import Load, describe_machine, processor_name
from benchmarks.measure import CaseResult, Settings, measure_case
from benchmarks.registry import chosen
from benchmarks.table import case_tables, left_out_lines
from lartpc_sparse.provenance import provenance

__all__ = ["compare", "measure_limits", "write_json"]


def measure_limits(options: argparse.Namespace, console: Console) -> Limits | None:
    """The machine's peaks, or None, with a line that says why."""
    if options.device == "cuda":
        limits = measure_cuda_limits()
        console.print(f"peaks of the GPU: {limits.gflops} GFLOP/s, copy {limits.bandwidth_gb:.0f} GB/s")
        return limits
    try:
        peak = measure_fma_peak(options.threads)
    except NoCompiler as reason:
        console.print(f"no limits are given: {reason}")
        return None
    console.print(f"fp32 multiply-add peak of {options.threads} threads, measured: {peak:.0f} GFLOP/s")
    return Limits({"fp32": peak})


def compare(options: argparse.Namespace, console: Console, load: Load | None) -> None:
    """Measure, print, and keep the results under `options.output`."""
    options.output.mkdir(parents=True, exist_ok=True)
    names = chosen(options.engines, options.device)
    limits = measure_limits(options, console)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(options.repeats, options.threads, options.device, Path(folder), console.log)
        for case in options.cases:
            results.append(measure_case(case, names, settings))
            for table in case_tables(results[-1], limits):
                console.print(table)
            # After every case, so that a run that is broken off leaves what it has.
            write_json(options.output / "bench.json", _record(results, limits, options, load))
    for line in left_out_lines(results):
        console.print(line, highlight=False)
    _draw(results, limits, options.output / "bench", console)
    _remember(results, options, console)


def _record(
    results: list[CaseResult], limits: Limits | None, options: argparse.Namespace, load: Load | None
) -> dict[str, Any]:
    return {
        **provenance(),
        "machine": describe_machine(),
        "load_before": None if load is None else dataclasses.asdict(load),
        "threads": options.threads,
        "device": options.device,
        "limits": None if limits is None else dataclasses.asdict(limits),
        "cases": [dataclasses.asdict(result) for result in results],
    }


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record in full or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1))
    part.replace(path)


def _draw(results: list[CaseResult], limits: Limits | None, path: Path, console: Console) -> None:
    try:
        from benchmarks.figure import draw_comparison
    except ImportError as error:
        console.print(f"no figure: {error}; pip install matplotlib")
        return
    draw_comparison(results, limits, path)
    console.print(f"{path}.json, .png, .svg")


def _remember(results: list[CaseResult], options: argparse.Namespace, console: Console) -> None:
    """Compare with the last run on a machine like this, then add this one."""
    stamp = provenance()
    key = {"processor": processor_name(), "threads": options.threads, "device": options.device}
    entry = history_entry(results, commit=stamp["git_hash"], when=datetime.now(UTC).isoformat("T", "seconds"), key=key)
    before = last_entry(options.history, key)
    if before is None:
        console.print("no earlier run on a machine like this in the history")
    else:
        slower = list(slow_downs(entry, before))
        console.print(
            "; ".join(["slower than before: " + slower[0], *slower[1:]]) if slower else "not slower than before"
        )
    if options.quick or options.busy_ok:
        console.print("not kept in the history: a quick run, or one on a busy machine")
    else:
        append_entry(options.history, entry)

"""`python -m benchmarks process`: one plane event in a process of its own, once the model is loaded."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES, build_batch, save_batch
from benchmarks.client import Client, WorkerFailed
from benchmarks.compare import write_json
from benchmarks.contestant import Unavailable
from benchmarks.machine import describe_machine
from benchmarks.registry import chosen
from benchmarks.spread import Spread
from lartpc_sparse.provenance import provenance

__all__ = ["measure_process"]

LATER = 5


def measure_process(options: argparse.Namespace, console: Console) -> None:
    """The very first pass of fresh processes, later ones, and the peak memory of it all, interpreter included."""
    options.output.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, list[float]]] = {}
    missing: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plane.npz"
        save_batch(build_batch(CASES["plane"]), path)
        for turn in range(options.repeats):
            console.log(f"round {turn + 1} of {options.repeats}")
            for name in chosen(options.engines, options.device):
                if name in missing:
                    continue
                try:
                    once = _one_process(name, path, options)
                except (Unavailable, WorkerFailed) as reason:
                    missing.add(name)
                    console.print(f"{name} is missing: {reason}", highlight=False)
                    continue
                for what, values in once.items():
                    found.setdefault(name, {}).setdefault(what, []).extend(values)
    table = Table(
        "", "first pass ms", "later passes ms", "peak MB", title="a plane event, in a process with the model loaded"
    )
    for name, measured in found.items():
        first, later, memory = (Spread.of(measured[what]).median for what in ("first", "later", "peak_mb"))
        table.add_row(name, f"{first * 1e3:.1f}", f"{later * 1e3:.1f}", f"{memory:.0f}")
    console.print(table)
    record = {**provenance(), "machine": describe_machine(), "threads": options.threads, "found": found}
    write_json(options.output / "process.json", record)


def _one_process(name: str, path: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    with Client(name, device=options.device, threads=options.threads) as client:
        client.ask("load", path=str(path))
        first = client.ask("run", what="inference")["seconds"]
        later = [client.ask("run", what="inference")["seconds"] for _ in range(LATER)]
        return {"first": [first], "later": later, "peak_mb": [client.ask("memory")["peak_mb"]]}

"""`python -m benchmarks neighbour`: what one foreign busy process on a core costs each contestant."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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

__all__ = ["busy_neighbour", "measure_neighbour"]


@contextmanager
def busy_neighbour() -> Iterator[int]:
    """A process that keeps one core busy for as long as the context lasts; gives that core."""
    core = max(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(process.pid, {core})
        yield core
    finally:
        process.kill()
        process.wait()


def measure_neighbour(options: argparse.Namespace, console: Console) -> None:
    """Inference on the plane, alone and beside a busy process, alternating; prints and writes `neighbour.json`."""
    options.output.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "plane.npz"
        save_batch(build_batch(CASES["plane"]), path)
        clients = []
        for name in chosen(options.engines, options.device):
            client = stack.enter_context(Client(name, device=options.device, threads=options.threads))
            try:
                client.ask("load", path=str(path))
                client.ask("run", what="inference")
            except (Unavailable, WorkerFailed) as reason:
                console.print(f"{name} is missing: {reason}", highlight=False)
                continue
            clients.append(client)
        for turn in range(options.repeats):
            console.log(f"round {turn + 1} of {options.repeats}")
            for client in clients:
                found = seconds.setdefault(client.name, {"alone": [], "beside": []})
                found["alone"].append(client.ask("run", what="inference")["seconds"])
                with busy_neighbour():
                    found["beside"].append(client.ask("run", what="inference")["seconds"])
    table = Table("", "alone ms", "beside a busy process ms", "slow-down", title="inference on the plane")
    for name, found in seconds.items():
        alone, beside = Spread.of(found["alone"]), Spread.of(found["beside"])
        cells = [
            f"{spread.median * 1e3:.1f} ({spread.low * 1e3:.1f}-{spread.high * 1e3:.1f})" for spread in (alone, beside)
        ]
        table.add_row(name, *cells, f"{beside.median / alone.median:.2f}")
    console.print(table)
    write_json(
        options.output / "neighbour.json",
        {**provenance(), "machine": describe_machine(), "threads": options.threads, "seconds": seconds},
    )

"""`python -m benchmarks plan`: time of the plan and of inference against the number of voxels."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES, CaseBatch, save_batch
from benchmarks.client import Client, WorkerFailed
from benchmarks.compare import write_json
from benchmarks.contestant import Unavailable
from benchmarks.machine import describe_machine
from benchmarks.registry import REGISTRY, chosen
from benchmarks.spread import Spread
from benchmarks.tracks import draw_tracks
from lartpc_sparse.provenance import provenance

__all__ = ["crowded_batch", "growth", "measure_plan_curve"]

STEPS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
MODES = ("plan", "inference")


def crowded_batch(voxels: int) -> CaseBatch:
    """One event as dense as the case `large`, in an image of as many voxels as that takes."""
    like = CASES["large"].tracks
    assert like is not None
    side = round(like.shape[0] * (voxels / like.voxels) ** (1 / 3))
    coords = draw_tracks(dataclasses.replace(like, shape=(side,) * 3, voxels=voxels), seed=0).astype(np.int32)
    return CaseBatch(torch.from_numpy(coords), torch.tensor([0, voxels]), torch.ones((voxels, 1)), (side,) * 3)


def growth(voxels: list[int], seconds: list[float]) -> float:
    """Exponent p of seconds ~ voxels^p over the upper half of the range; 1 is linear."""
    half = len(voxels) // 2
    return float(np.polyfit(np.log(voxels[half:]), np.log(seconds[half:]), 1)[0])


def measure_plan_curve(options: argparse.Namespace, console: Console) -> None:
    """Measure, print a table, write `plan.json` and a figure."""
    options.output.mkdir(parents=True, exist_ok=True)
    names = [name for name in chosen(options.engines or ["cpu"], options.device) if REGISTRY[name].engine]
    voxels = [step for step in STEPS if step <= options.max_voxels]
    times: dict[str, dict[str, list[list[float]]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clients = [stack.enter_context(Client(name, device=options.device, threads=options.threads)) for name in names]
        for count in voxels:
            path = folder / "batch.npz"
            save_batch(crowded_batch(count), path)
            for client in clients:
                console.log(f"{client.name}, {count} voxels")
                try:
                    client.ask("load", path=str(path))
                    for mode in MODES:
                        passes = [client.ask("run", what=mode)["seconds"] for _ in range(options.repeats + 1)]
                        times.setdefault(client.name, {}).setdefault(mode, []).append(passes[1:])
                except (Unavailable, WorkerFailed) as reason:
                    raise ValueError(f"{client.name} at {count} voxels: {reason}") from reason
    medians = {
        name: {mode: [Spread.of(passes).median for passes in rows] for mode, rows in modes.items()}
        for name, modes in times.items()
    }
    _report(voxels, medians, console)
    record = {**provenance(), "machine": describe_machine(), "voxels": voxels, "seconds": times}
    write_json(options.output / "plan.json", record)
    from benchmarks.figure import draw_curve

    draw_curve(voxels, medians, options.output / "plan")


def _report(voxels: list[int], medians: dict[str, dict[str, list[float]]], console: Console) -> None:
    for name, modes in medians.items():
        table = Table("voxels", "plan ms", "inference ms", "share", "plan ns a voxel", title=name)
        for count, plan, inference in zip(voxels, modes["plan"], modes["inference"], strict=True):
            cells = (
                f"{plan * 1e3:.2f}",
                f"{inference * 1e3:.1f}",
                f"{100 * plan / inference:.0f} %",
                f"{plan / count * 1e9:.0f}",
            )
            table.add_row(f"{count:,}", *cells)
        console.print(table)
        if len(voxels) > 2:
            exponents = ", ".join(f"{mode} {growth(voxels, modes[mode]):.2f}" for mode in MODES)
            console.print(f"time grows as voxels to the power of: {exponents} (1 is linear; upper half of the range)")

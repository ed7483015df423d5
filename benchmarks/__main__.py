"""`python -m benchmarks`; see `benchmarks/options.py`."""

from __future__ import annotations

import sys

import torch
from rich.console import Console

from benchmarks.compare import compare
from benchmarks.machine import Load, measure_load
from benchmarks.neighbour import measure_neighbour
from benchmarks.options import parse_options
from benchmarks.plan_curve import measure_plan_curve
from benchmarks.whole_process import measure_process

__all__ = ["main", "refuse_busy_machine"]


def refuse_busy_machine(load: Load | None, busy_ok: bool) -> None:
    """Times taken beside other work say nothing.

    Raises:
        SystemExit: the machine is busy, or nobody can tell, and `busy_ok` is not set.
    """
    if busy_ok:
        return
    if load is None:
        sys.exit("whether this machine is busy cannot be read (no /proc/stat); --busy-ok measures nevertheless")
    if load.is_busy:
        sys.exit(f"this machine is busy, {load}; wait for it, or measure nevertheless with --busy-ok")


def main(arguments: list[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = parse_options(arguments)
    torch.set_num_threads(1)  # this process only waits and counts
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "--device cuda: PyTorch sees no CUDA device here; on a machine with one install with make env TORCH=cuda"
        )
    console = Console(width=None if sys.stdout.isatty() else 110, log_path=False)
    try:
        load = measure_load()
    except OSError:
        load = None
    refuse_busy_machine(load, options.busy_ok)
    try:
        if options.what == "compare":
            compare(options, console, load)
        else:
            {"plan": measure_plan_curve, "neighbour": measure_neighbour, "process": measure_process}[options.what](
                options, console
            )
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

"""The command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.cases import CASES

__all__ = ["CPU_CASES", "parse_options"]

CPU_CASES = ("small", "plane", "medium", "large", "sample32")
QUICK_CASES = ("small", "plane")
QUICK_REPEATS = 3


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of `python -m benchmarks`.

    Raises:
        SystemExit: wrong options, said on stderr.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="compare",
        choices=("compare", "plan", "neighbour", "process"),
        help="compare: all contestants side by side (default); plan: time against voxels, 1k to 1M; "
        "neighbour: slow-down by one busy process; process: a plane event in a fresh process",
    )
    parser.add_argument("--quick", action="store_true", help="two small cases, three repeats; not kept in the history")
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), help="default: all of the device")
    parser.add_argument("--engines", nargs="+", help="names as in benchmarks/registry.py; default: all that can run")
    parser.add_argument("--repeats", type=int, help="timed passes of each contestant (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="of each contestant (default 2)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--busy-ok", action="store_true", help="measure on a busy machine; not kept in the history")
    parser.add_argument("--max-voxels", type=int, default=1_000_000, help="end of the curve of `plan`")
    parser.add_argument("--output", type=Path, default=Path("runs/bench"), help="folder (default runs/bench)")
    parser.add_argument("--history", type=Path, default=Path(__file__).with_name("history.jsonl"))
    options = parser.parse_args(arguments)
    if options.cases is None:
        options.cases = QUICK_CASES if options.quick else CPU_CASES if options.device == "cpu" else ("gpu32",)
    if options.repeats is None:
        options.repeats = QUICK_REPEATS if options.quick else 9
    if options.repeats < 1 or options.threads < 1:
        parser.error("--repeats and --threads must be at least 1")
    return options

"""Time of a prediction with one single-thread rank and with two; for an otherwise idle machine with two cores."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml


def seconds(folder: Path, chain: Path, ranks: int) -> float:
    """Duration of the step predict, from the event log."""
    run = folder / f"ranks-{ranks}"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "-m", "lartpc_sparse.run"]
    subprocess.run([*command, str(chain), "--set", f"run.output_dir={run}"], check=True, stdout=subprocess.DEVNULL)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return float(next(e["seconds"] for e in events if e["event"] == "step_done" and e["step"] == "predict"))


def main() -> int:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", nargs="+", default=[], help="files of the format voxels; default: the sample")
    parser.add_argument("--events", type=int, help="no more than these of the files")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs, one rank and two in turn (default: 3)")
    options = parser.parse_args()
    events = (
        {"kind": "voxels", "files": options.files, "limit": options.events}
        if options.files
        else {"kind": "sample", "split": "train"}
    )
    values = {
        "run": {"device": "cpu", "threads": 1},
        "weights": "semantic3d-small",
        "data": {"test": events, "batch": {"events": 8}},
        "predict": {"part_events": 32},
    }
    with tempfile.TemporaryDirectory() as name:
        chain = Path(name) / "chain.yaml"
        chain.write_text(yaml.safe_dump(values))
        pairs = [
            {ranks: seconds(Path(name) / str(repeat), chain, ranks) for ranks in ((1, 2), (2, 1))[repeat % 2]}
            for repeat in range(options.repeats)
        ]
    for one, two in ((pair[1], pair[2]) for pair in pairs):
        sys.stdout.write(f"one rank {one:.1f} s, two ranks {two:.1f} s: {one / two:.2f} times as fast\n")
    for name, choose in (("median", statistics.median), ("best", min)):
        one, two = (choose([pair[ranks] for pair in pairs]) for ranks in (1, 2))
        sys.stdout.write(f"{name} of {len(pairs)}: {one:.1f} s and {two:.1f} s, {one / two:.2f} times as fast\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

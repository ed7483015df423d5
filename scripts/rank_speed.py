"""Time of a prediction with one single-thread rank and with two; for an otherwise idle machine with two cores."""

from __future__ import annotations

import argparse
import json
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
    options = parser.parse_args()
    events = {"kind": "voxels", "files": options.files} if options.files else {"kind": "sample", "split": "train"}
    values = {
        "run": {"device": "cpu", "threads": 1},
        "weights": "semantic3d-small",
        "data": {"test": events, "batch": {"events": 4}},
        "predict": {"part_events": 16},
    }
    with tempfile.TemporaryDirectory() as name:
        chain = Path(name) / "chain.yaml"
        chain.write_text(yaml.safe_dump(values))
        one, two = (seconds(Path(name), chain, ranks) for ranks in (1, 2))
    sys.stdout.write(f"one rank {one:.1f} s, two ranks {two:.1f} s: {one / two:.2f} times as fast\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

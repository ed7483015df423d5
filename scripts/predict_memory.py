"""Predicts 200,000 small events and shows the memory of the process over time: it must stay flat."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from lartpc_sparse.data.classes import FIVE
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.voxel_file import VoxelFileWriter

VOXELS = 12


def write_events(path: Path, number: int) -> None:
    """Events of a dozen voxels along a line."""
    rng = np.random.default_rng(1)
    line = np.repeat(np.arange(VOXELS, dtype=np.int32)[:, None], 3, axis=1)
    with VoxelFileWriter(path, image_size=(64, 64, 64), classes=FIVE, voxel_size_mm=None, origin="made") as writer:
        for entry in range(number):
            coords = line + rng.integers(0, 50, 3).astype(np.int32)
            labels = {"semantic": np.ones(VOXELS, np.int64), "instance": np.zeros(VOXELS, np.int64)}
            energy = rng.random(VOXELS, dtype=np.float32)
            writer.write(Event(EventKey("made", entry), coords, energy, (64, 64, 64), classes=FIVE, labels=labels))


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> int:
    """Run and judge; 1 when the memory grows by more than a tenth between the first fifth and the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_events(folder / "events.h5", options.events)
        events = {"kind": "voxels", "files": [str(folder / "events.h5")]}
        chain = {
            "run": {"output_dir": str(folder / "run"), "device": "cpu", "threads": 1},
            "data": {"train": {**events, "limit": 16}, "test": events, "batch": {"events": 64}},
            "model": {
                "backbone": {"kind": "uresnet", "filters": 4, "depth": 2, "blocks": 1},
                "heads": {"semantic": {"kind": "semantic"}},
            },
            "train": {"epochs": 1},
            "predict": {},
        }
        (folder / "chain.yaml").write_text(yaml.safe_dump(chain))
        command = [sys.executable, "-m", "lartpc_sparse.run", str(folder / "chain.yaml")]
        begin = time.monotonic()
        process = subprocess.Popen(command)
        seen: list[tuple[float, float]] = []
        while process.poll() is None:
            time.sleep(options.every)
            if process.poll() is None:
                seen.append((time.monotonic() - begin, resident_mib(process.pid)))
        if process.returncode:
            return process.returncode
        for seconds, size in seen[:: max(len(seen) // 20, 1)]:
            sys.stdout.write(f"{seconds:8.0f} s {size:8.0f} MiB\n")
        early, late = seen[len(seen) // 5][1], max(size for _, size in seen[len(seen) // 2 :])
        sys.stdout.write(
            f"{options.events} events: {early:.0f} MiB after a fifth of the time, at most {late:.0f} later\n"
        )
        return int(late > 1.1 * early)


if __name__ == "__main__":
    sys.exit(main())

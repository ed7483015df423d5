"""`python -m benchmarks.data_memory`: memory of one process over a million reads at random, for every format we write.

Writes `--files` files of `--events` small events in each format, and reads them in a process of its own for each; the
resident memory is taken after every tenth of the reads. Prints a table, and with `--json` writes the numbers.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import measure_load, processor_name
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.larcv_file import LarcvFileWriter
from lartpc_sparse.data.readers import LarcvHdf5Config, ReaderConfig, SampleConfig, VoxelsConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter

FORMATS = ("voxels, none", "voxels, lz4", "larcv3")
MARKS = 10
RUN = 100
"""Reads from one file before the next: opening a file takes as long as a hundred reads."""


def make_files(folder: Path, form: str, files: int, events: int, voxels: int) -> ReaderConfig:
    """Files of events that are the first voxels of those of the sample."""
    sample = SampleConfig(split="train").build()
    small = [_first(sample.read(index), voxels) for index in range(len(sample))]
    layout: dict[str, Any] = {"image_size": sample.image_size, "classes": sample.classes}
    for number in range(files):
        path = folder / f"{number}.h5"
        options = {"compression": form.removeprefix("voxels, ")} if form.startswith("voxels") else {}
        writer = VoxelFileWriter if options else LarcvFileWriter
        with writer(path, **layout, **options) as target:
            for entry in range(events):
                target.write(small[(number * events + entry) % len(small)])
    kind = VoxelsConfig if form.startswith("voxels") else LarcvHdf5Config
    return kind(files=(f"{folder}/*.h5",))


def _first(event: Event, voxels: int) -> Event:
    return event.select(np.arange(min(voxels, len(event))))


def watch(form: str, options: argparse.Namespace, answer: Any) -> None:
    """Reads, and sends resident memory in MiB after each tenth, the largest of all, and the seconds it took."""
    with tempfile.TemporaryDirectory() as name:
        reader = make_files(Path(name), form, options.files, options.events, options.voxels).build()
        rng = np.random.default_rng(2)
        step = max(options.reads // MARKS, 1)
        begin, memory, first = time.monotonic(), {}, 0
        for number in range(1, options.reads + 1):
            if number % RUN == 1:
                first = options.events * int(rng.integers(options.files))
            reader.read(first + int(rng.integers(options.events)))
            if number == step // 10 or number % step == 0:
                gc.collect()
                memory[number] = round(_resident_mib(), 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answer.send({"memory_mib": memory, "peak_mib": round(peak, 1), "seconds": round(time.monotonic() - begin)})


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--reads", type=int, default=1_000_000, help="of each format (default 1000000)")
    parser.add_argument("--files", type=int, default=40, help="more than the 32 that stay open (default 40)")
    parser.add_argument("--events", type=int, default=500, help="in each file (default 500)")
    parser.add_argument("--voxels", type=int, default=100, help="of an event, at most (default 100)")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS, help="default: all")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    options = parser.parse_args()
    print(f"{processor_name()}; {measure_load()}; resident memory in MiB")
    found = {}
    for form in options.formats:
        here, there = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=watch, args=(form, options, there))
        process.start()
        there.close()
        found[form] = here.recv()
        process.join()
        series = ", ".join(f"{number:,}: {mib}" for number, mib in found[form]["memory_mib"].items())
        print(f"{form:14}{series}; peak {found[form]['peak_mib']}; {found[form]['seconds']} s", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"reads": options.reads, "formats": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()

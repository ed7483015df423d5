"""`python -m benchmarks.data_reading`: events per second read at random by one process, beside plain h5py.

Makes `--events` events of `--voxels` voxels of the packaged sample, in the project's format with both of its
compressions and as plain uncompressed HDF5, and reads them in random order; `benchmarks.data_memory` watches memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.machine import measure_load, processor_name
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import SampleConfig, VoxelsConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter

COLUMNS = ("coords", "energy", "labels/semantic", "labels/instance")
SETTINGS: dict[str, dict[str, Any]] = {
    "coords, energy": {"labels": (), "particles": False},
    "coords, energy, semantic, instance": {"labels": ("semantic", "instance"), "particles": False},
    "all 6 labels": {"particles": False},
    "all 6 labels and the particle table": {},
}


def make_files(folder: Path, events: int, voxels: int) -> tuple[Path, Path, Path]:
    """Events joined from those of the sample; the same columns uncompressed, as a yardstick."""
    reader = SampleConfig(split="train").build()
    sample = [reader.read(index) for index in range(len(reader))]
    rng = np.random.default_rng(0)
    flat, fast, plain = (folder / f"{name}.h5" for name in ("flat", "fast", "plain"))
    layout = {"image_size": reader.image_size, "classes": reader.classes}
    with VoxelFileWriter(flat, **layout) as writer, VoxelFileWriter(fast, **layout, compression="none") as uncompressed:
        for entry in range(events):
            parts: list[Event] = []
            while sum(map(len, parts)) < voxels:
                parts.append(sample[rng.integers(len(sample))])
            event = _joined(parts, voxels, entry)
            writer.write(event)
            uncompressed.write(event)
    with h5py.File(flat) as source, h5py.File(plain, "w") as target:
        for name in (*COLUMNS, "offsets"):
            target[name] = source[name][:]
    return flat, fast, plain


def _joined(parts: list[Event], voxels: int, entry: int) -> Event:
    def joined(column: Callable[[Event], np.ndarray]) -> np.ndarray:
        return np.concatenate([column(part) for part in parts])

    return Event(
        key=EventKey("joined", entry),
        coords=joined(lambda part: part.coords)[:voxels],
        energy=joined(lambda part: part.energy)[:voxels],
        image_size=parts[0].image_size,
        classes=parts[0].classes,
        labels={name: joined(lambda part, name=name: part.labels[name])[:voxels] for name in parts[0].labels},
        particles={name: joined(lambda part, name=name: part.particles[name]) for name in parts[0].particles},
    )


def race(readings: Mapping[str, Callable[[int], object]], events: int, rounds: int, reads: int = 30) -> None:
    """Print events per second of the process's own time: the best short run, and the median ratio to the first.

    The readings take turns run by run, so that whatever else the machine does slows all of them alike.
    """
    order = np.random.default_rng(1).integers(0, events, (rounds, reads)).tolist()
    times: dict[str, list[float]] = {title: [] for title in readings}
    for read in readings.values():  # open files, and look at every event once
        for index in range(events):
            read(index)
    for indices in order:
        for title, read in readings.items():
            begin = time.process_time()
            for index in indices:
                read(index)
            times[title].append((time.process_time() - begin) / reads)
    yardstick = np.array(next(iter(times.values())))
    for title, found in times.items():
        print(
            f"{title:52s}{1 / min(found):8,.0f} events/s at best{1 / np.median(found):8,.0f} in the median"
            f"{np.median(yardstick / found):6.2f} x the first",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_reading", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1000, help="events in the file (default 1000)")
    parser.add_argument("--voxels", type=int, default=10_000, help="voxels an event (default 10000)")
    parser.add_argument("--rounds", type=int, default=100, help="short runs of each reading (default 100)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:  # leaves no garbage here
            flat, fast, plain = pool.submit(make_files, Path(name), options.events, options.voxels).result()
        sizes = ", ".join(f"{path.stem} {path.stat().st_size / 1e6:.0f} MB" for path in (flat, fast, plain))
        print(f"{sizes} (plain: fewer columns); {processor_name()}; {measure_load()}")
        with h5py.File(plain) as file:
            offsets, columns = file["offsets"][:], [file[name] for name in COLUMNS]
            readings: dict[str, Callable[[int], object]] = {
                "plain h5py, uncompressed: 4 columns": lambda index: [
                    column[offsets[index] : offsets[index + 1]] for column in columns
                ]
            }
            for path, compression in ((fast, "none"), (flat, "lz4")):
                for title, settings in SETTINGS.items():
                    reader = VoxelsConfig(files=(str(path),), **settings).build()
                    readings[f"{compression:5}{title}"] = reader.read
            race(readings, options.events, options.rounds)


if __name__ == "__main__":
    main()

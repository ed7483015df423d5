"""How fast larcv files are read at random: `python -m benchmarks.larcv_reading`, on a machine that does nothing else.

The ROOT file is made here: uproot cannot write larcv's own classes, so every leaf is a branch of its own with the name
that larcv gives it. What is read of it are the same baskets with the same bytes: one event a basket, as ROOT fills its
32 kB baskets with events of 10k voxels, zlib level 1 as in larcv2 files. Events are packaged sample events joined until
they have 10k voxels, so that ids and energies pack as real ones do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from benchmarks.machine import measure_load, processor_name
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.larcv_file import LarcvFileWriter
from lartpc_sparse.data.readers import LarcvHdf5Config, LarcvRootConfig, Reader, SampleConfig

SIZE = (768, 768, 768)
VOXELS = 10_000


def joined_events(count: int) -> Iterator[Event]:
    """Events of VOXELS voxels: shifted sample events, joined and cut."""
    source, rng = SampleConfig(split="train").build(), np.random.default_rng(0)
    for entry in range(count):
        parts: dict[int, tuple[float, int]] = {}
        while len(parts) < VOXELS:
            event = source.read(int(rng.integers(len(source))))
            coords = (event.coords + rng.integers(0, 768, 3)) % 768
            ids = coords[:, 0] + 768 * coords[:, 1] + 768**2 * coords[:, 2].astype(np.int64)
            parts.update(zip(ids.tolist(), zip(event.energy, event.labels["semantic"], strict=True), strict=True))
        ids = np.sort(np.array(list(parts))[:VOXELS])
        energy, semantic = (np.array(column) for column in zip(*(parts[i] for i in ids.tolist()), strict=True))
        coords = np.stack([ids % 768, ids // 768 % 768, ids // 768**2], axis=1).astype(np.int32)
        yield Event(
            key=EventKey("made", entry),
            coords=coords,
            energy=energy.astype(np.float32),
            image_size=SIZE,
            classes=source.classes,
            labels={"semantic": semantic.astype(np.int64)},
        )


def write_root(path: Path, events: Iterator[Event]) -> None:
    """One product `sparse3d_data`."""
    types = {"_voxel_v._id": "var * uint64", "_voxel_v._value": "var * float32", "_voxel_v": "int32"}
    types |= dict.fromkeys(("_run", "_subrun", "_event"), "uint64")
    types |= {f"_meta._p{n}.{axis}": "float64" for n in (1, 2) for axis in "xyz"}
    types |= {f"_meta._{axis}num": "uint64" for axis in "xyz"}
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        tree = file.mktree("sparse3d_data_tree", types)
        for event in events:
            ids = event.coords.astype(np.uint64) @ np.array([1, 768, 768**2], dtype=np.uint64)
            row: dict[str, Any] = {name: np.zeros(1, dtype=kind) for name, kind in types.items() if "var" not in kind}
            row |= {f"_meta._{axis}num": np.full(1, 768, dtype=np.uint64) for axis in "xyz"}
            row["_voxel_v"] = np.array([len(ids)], dtype=np.int32)
            row["_event"] = np.array([event.key.entry], dtype=np.uint64)
            tree.extend({**row, "_voxel_v._id": ak.Array([ids]), "_voxel_v._value": ak.Array([event.energy])})


def measure(reader: Reader, reads: int, rounds: int) -> list[tuple[float, float]]:
    """Events per second, and per second of processor time, of each round; read at random by one process."""
    rng, rates = np.random.default_rng(1), []
    for index in range(min(10, len(reader))):
        reader.read(index)
    for _ in range(rounds):
        order = rng.integers(0, len(reader), reads).tolist()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        total = sum(len(reader.read(index)) for index in order)
        rates.append((reads / (time.perf_counter() - begin), reads / (time.process_time() - begin_cpu)))
        assert total == reads * VOXELS
    return rates


def main() -> None:
    """Write the files if they are not there, and measure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, default=Path("runs/bench"), help="where the files are written")
    options.add_argument("--events", type=int, default=1000, help="in each file")
    options.add_argument("--reads", type=int, default=1000, help="in each round")
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    root, hdf5 = (chosen.folder / f"larcv_{chosen.events}.{end}" for end in ("root", "h5"))
    if not root.exists():
        write_root(root, joined_events(chosen.events))
    if not hdf5.exists():
        with LarcvFileWriter(hdf5, image_size=SIZE, classes=next(joined_events(1)).classes) as writer:
            for event in joined_events(chosen.events):
                writer.write(event)
    print(f"{processor_name()}; {measure_load()}")
    print(f"{chosen.events} events of {VOXELS} voxels, read at random in one process, {chosen.rounds} rounds")
    readers: dict[str, Reader] = {
        # next to no memory of unpacked data: a data set larger than memory never meets the same basket again
        "larcv_root, sparse3d": LarcvRootConfig(files=(str(root),), semantic=None, cache_mib=2).build(),
        "larcv_hdf5, sparse3d": LarcvHdf5Config(
            files=(str(hdf5),), layout="larcv", semantic=None, particles=None
        ).build(),
        "larcv_hdf5, own layout, one label": LarcvHdf5Config(files=(str(hdf5),)).build(),
    }
    for name, reader in readers.items():
        rates = measure(reader, chosen.reads, chosen.rounds)
        size = Path(reader.files[0]).stat().st_size / chosen.events / 1000
        median, best = np.median(rates, axis=0), np.max(rates, axis=0)
        print(
            f"{name:36} median {median[0]:6.0f} events/s, best {best[0]:6.0f}; "
            f"a second of processor time: median {median[1]:6.0f}, best {best[1]:6.0f}   ({size:.0f} kB/event)"
        )


if __name__ == "__main__":
    main()

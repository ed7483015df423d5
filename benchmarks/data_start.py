"""`python -m benchmarks.data_start`: how long a reader of many small files takes to start.

Makes `--files` links to copies of one small file, and builds a reader of them three times, each in a process of its
own: without a cache, with an empty one (the first start), and with a full one (the second start).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

_START = """
import sys, time
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.readers import files as opened
count = 0
open_hdf5 = opened.h5py.File
def note(*args, **kwargs):
    global count
    count += 1
    return open_hdf5(*args, **kwargs)
opened.h5py.File = note
begin = time.perf_counter()
reader = VoxelsConfig(files=(sys.argv[1],)).build()
built = time.perf_counter()
voxels = reader.num_voxels().sum()
counted = time.perf_counter()
print(f"{len(reader)} events, {voxels} voxels; reader {built - begin:.2f} s, voxel counts {counted - built:.2f} s, "
      f"{count} files opened by this process")
"""


def make_files(folder: Path, number: int) -> None:
    """Hard links to a copy of the packaged test sample, at most 1,000 to a copy."""
    source = Path(str(files("lartpc_sparse") / "data" / "sample" / "test.h5"))
    for index in range(number):
        path = folder / f"events_{index:06d}.h5"
        if index % 1000 == 0:
            original = Path(shutil.copy(source, path))
        else:
            os.link(original, path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_start", description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000, help="number of files (default 10000)")
    parser.add_argument("--folder", type=Path, default=None, help="where to make them (default: the temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "data").mkdir()
        make_files(folder / "data", options.files)
        for title, cache in (
            ("no cache", "off"),
            ("first start", folder / "cache"),
            ("second start", folder / "cache"),
        ):
            command = [sys.executable, "-c", _START, str(folder / "data" / "*.h5")]
            done = subprocess.run(
                command,
                env={**os.environ, "LARTPC_SPARSE_CACHE": str(cache)},
                capture_output=True,
                text=True,
                check=True,
            )
            print(f"{title:14s}{done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()

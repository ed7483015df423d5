"""Reading for long does not fill the memory."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from made_events import random_event
from test_readers_voxels import write

from lartpc_sparse.data.readers import VoxelsConfig


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_stays_flat_over_many_reads_of_many_files(tmp_path: Path) -> None:
    for number in range(40):  # more than are kept open
        write(tmp_path / f"{number}.h5", [random_event(number * 10 + seed, 200) for seed in range(5)])
    reader = VoxelsConfig(files=(f"{tmp_path}/*.h5",)).build()
    # Runs of events in one file, so that files are opened often but not at every read.
    order = np.random.default_rng(0).integers(0, 40, 200).repeat(10) * 5 + np.tile(np.arange(10) % 5, 200)
    for index in order[:500].tolist():
        reader.read(index)
    gc.collect()
    before = _resident_mib()
    for index in order.tolist():
        reader.read(index)
    gc.collect()
    assert _resident_mib() - before < 15

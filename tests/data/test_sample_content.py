"""The packaged sample: the same events whenever its files are written anew, in today's layout."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import pytest

from lartpc_sparse.data.readers import SampleConfig
from lartpc_sparse.data.readers.sample import sample_file
from lartpc_sparse.data.voxel_file import VOXEL_ROWS

DIGESTS = {
    "train": "39c7787e89fa9770f9aab706a6edb8aa2e85a2739c3a25d5bbc6d77e23ba5523",
    "validation": "c7c482ecbc89cb775c123f305d08db3642762afa0ff95765a1b62cab212a38c6",
    "test": "5255d6d29492dcbbf59e7e9ee9623d797f673cc10eb914185fe5fc69ed6efe37",
}
"""Of the files of the first version, whose results are in the docs."""
LARGEST_BYTES = {"train": 4_763_692, "validation": 554_640, "test": 567_312}


def digest(path: str) -> str:
    """Of names, types, shapes and bytes of all data sets."""
    names: list[str] = []
    found = hashlib.sha256()
    with h5py.File(path, locking=False) as file:
        file.visit(names.append)
        for name in sorted(names):
            if isinstance(data := file[name], h5py.Dataset):
                found.update(f"{name} {data.dtype} {data.shape}".encode())
                found.update(data[:].tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("split", DIGESTS)
def test_the_events_are_those_of_the_first_version(split: str) -> None:
    path = sample_file(split)
    assert digest(path) == DIGESTS[split]
    assert Path(path).stat().st_size <= LARGEST_BYTES[split]


@pytest.mark.parametrize("split", DIGESTS)
def test_the_layout_is_that_of_today(split: str) -> None:
    path = sample_file(split)
    assert b"GCOL" not in Path(path).read_bytes()  # no text in a heap, where a flipped bit goes unnoticed
    with h5py.File(path, locking=False) as file:
        assert file["coords"].chunks[0] == file["labels/semantic"].chunks[0] == VOXEL_ROWS
        assert all(file[name].fletcher32 for name in ("coords", "energy", "offsets", "labels/instance"))
    assert len(SampleConfig(split=split).build().read(0)) > 200

"""Conversions one after the other give back every data set of the first flat file, bit for bit."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from pilarnet_files import VERSIONS, empty_event, raw_event, write_pilarnet

from lartpc_sparse.data.convert import main

KEPT = ("format", "format_version", "classes", "image_size", "voxel_size_mm")


def data_sets(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path, locking=False) as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        return {name: file[name][:] for name in names}


def attributes(path: Path) -> dict[str, object]:
    with h5py.File(path, locking=False) as file:
        return {name: file.attrs[name] for name in KEPT}


def check_chain(source: Path, folder: Path, *options: str) -> dict[str, np.ndarray]:
    """pilarnet -> voxels -> larcv3 -> voxels by the command line."""
    first, larcv, last = folder / "first.h5", folder / "larcv.h5", folder / "last.h5"
    steps = ((source, first, "voxels", options), (first, larcv, "larcv3", ()), (larcv, last, "voxels", ()))
    for path, output, to, more in steps:
        assert main([str(path), str(output), "--to", to, "--check", "--part-events", "3", *more]) == 0
    one, other = data_sets(first), data_sets(last)
    assert one.keys() == other.keys()
    for name, data in one.items():
        assert data.dtype == other[name].dtype, name
        assert data.shape == other[name].shape, name
        assert data.tobytes() == other[name].tobytes(), name
    np.testing.assert_equal(attributes(last), attributes(first))
    return one


@pytest.mark.parametrize("version", VERSIONS)
def test_every_layout_of_pilarnet_keeps_every_bit(tmp_path: Path, version: str) -> None:
    events = [empty_event(), *(raw_event(seed) for seed in range(4)), empty_event()]
    events[2].point[1, :3] = events[2].point[0, :3]  # the same voxel twice stays twice
    first = check_chain(write_pilarnet(tmp_path / "in.h5", events, version), tmp_path)
    assert np.diff(first["offsets"]).tolist() == [len(event.point) for event in events]
    assert {"coords", "energy", "labels/semantic", "labels/instance"} <= first.keys()
    assert attributes(tmp_path / "last.h5")["voxel_size_mm"] == 3.0


def test_the_real_layout_keeps_every_bit_through_larcv(shared_data: Path, tmp_path: Path) -> None:
    first = check_chain(shared_data / "val_pilarnet.h5", tmp_path, "--select", "0:40", "--part-events", "20")
    assert len(first["offsets"]) == 41

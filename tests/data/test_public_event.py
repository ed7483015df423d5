"""The one public PILArNet-M event at hand, against what is known of it."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.data.readers import ColumnsConfig


def test_counts_and_classes(tmp_path: Path, shared_data: Path) -> None:
    """1,390 voxels above 0.13 MeV: shower 571, track 706 (some of protons), low energy 113."""
    found = np.load(shared_data / "real" / "pilarnetM_test_ev7675.npz")
    with h5py.File(tmp_path / "event.h5", "w") as file:
        for name in ("coords", "semantic", "pid", "instance"):
            file[name] = found[name]
        file["energy"], file["offsets"] = found["energy_MeV"], np.array([0, len(found["coords"])])
    reader = ColumnsConfig(files=(str(tmp_path / "event.h5"),), image_size=(768, 768, 768)).build()
    event = reader.read(0)
    assert reader.classes == SIX
    assert len(event) == 1390
    assert event.energy.min() > 0.13
    assert event.energy.sum(dtype=np.float64) == np.float32(found["energy_MeV"]).sum(dtype=np.float64)
    counts = dict(zip(SIX, np.bincount(event.labels["semantic"], minlength=6).tolist(), strict=True))
    protons = int(((found["semantic"] == 1) & (found["pid"] == 4)).sum())
    assert 0 < protons < 706
    assert counts == {
        "HIP": protons, "MIP": 706 - protons, "shower": 571, "delta": 0, "Michel": 0, "low_energy": 113
    }  # fmt: skip

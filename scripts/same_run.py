"""Compares two runs of one chain: weights, training log and predictions, to the last bit; times are left out."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
import numpy as np
import torch

TIMES = ("voxels_per_s", "data_wait_fraction")


def log(folder: Path) -> list[dict[str, str]]:
    """The rows of the training log."""
    with (folder / "training" / "training.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.endswith(TIMES)} for row in csv.DictReader(file)]


def columns(path: Path) -> dict[str, np.ndarray]:
    """The data sets of a predictions file."""
    found: dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: values for name, values in found.items() if "decode:seconds" not in name}


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Same values, NaN equal to NaN."""
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def main(one: Path, other: Path) -> int:
    """Print what is the same; 1 when anything is not."""
    bad = []
    for name in ("last.ckpt", "best.ckpt"):
        a, b = (torch.load(f / "training" / name, weights_only=True)["state_dict"] for f in (one, other))
        same = a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        sys.stdout.write(f"{name}: {len(a)} tensors, {'equal' if same else 'DIFFERENT'}\n")
        bad += [] if same else [name]
    rows, others = log(one), log(other)
    sys.stdout.write(f"training.csv: {len(rows)} rows, {'equal' if rows == others else 'DIFFERENT'}\n")
    bad += [] if rows == others else ["training.csv"]
    if (one / "predictions.h5").exists():
        a, b = columns(one / "predictions.h5"), columns(other / "predictions.h5")
        same = a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
        sys.stdout.write(f"predictions.h5: {len(a)} columns, {'equal' if same else 'DIFFERENT'}\n")
        bad += [] if same else ["predictions.h5"]
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

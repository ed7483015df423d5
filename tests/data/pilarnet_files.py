"""Writes PILArNet-M files of every version, from events whose content the tests know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

EXTRA_WIDTH = {"v1": 0, "v2": 5, "v3": 6, "v3_extra": 6, "v3_packed9": 9, "v3_packed11": 11, "v2_bare": 0}
CLUSTER_WIDTH = {name: 5 if name == "v1" else 6 for name in EXTRA_WIDTH}
VERSIONS = tuple(EXTRA_WIDTH)


@dataclass(frozen=True)
class RawEvent:
    """Rows of one event with all columns of the widest version."""

    point: np.ndarray  # (N, 8)
    cluster: np.ndarray  # (C, 6)
    extra: np.ndarray  # (C, 11)
    interaction: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), dtype=np.float32))


def raw_event(seed: int, clusters: int = 5, size: int = 768) -> RawEvent:
    """An event with a low-energy row and `clusters` others of random kind."""
    rng = np.random.default_rng(seed)
    n_points = rng.integers(0, 12, clusters + 1)
    n_points[-1] += 1  # never empty
    table = np.stack(
        [
            n_points,
            np.arange(clusters + 1) - 1,
            rng.integers(0, 3, clusters + 1),
            rng.integers(0, 2, clusters + 1),
            rng.integers(0, 4, clusters + 1),
            rng.integers(-1, 6, clusters + 1),
        ],
        axis=1,
    ).astype(np.int32)
    table[0, 1:] = (-1, -1, -1, 4, -1)
    point = rng.uniform(0.05, 3, (n_points.sum(), 8)).astype(np.float32)
    point[:, :3] = rng.integers(0, size, (len(point), 3))
    extra = rng.uniform(-1, 1, (clusters + 1, 11)).astype(np.float32)
    interaction = np.array([[0, 1.5, 2.5, 3.5], [1, 4.5, 5.5, 6.5]], dtype=np.float32)
    return RawEvent(point, table, extra, interaction)


def empty_event() -> RawEvent:
    """An event without a voxel and without a cluster."""
    return RawEvent(
        np.zeros((0, 8), dtype=np.float32), np.zeros((0, 6), dtype=np.int32), np.zeros((0, 11), dtype=np.float32)
    )


def write_pilarnet(
    path: Path, events: Sequence[RawEvent], version: str = "v2", cluster_type: type[np.generic] = np.int32
) -> Path:
    """Write a file of one version."""
    columns = {
        "point": [event.point for event in events],
        "cluster": [event.cluster[:, : CLUSTER_WIDTH[version]] for event in events],
    }
    if EXTRA_WIDTH[version]:
        columns["cluster_extra"] = [event.extra[:, : EXTRA_WIDTH[version]] for event in events]
    if version == "v3_extra":
        columns["cluster_extra_2"] = [event.extra[:, 6:] for event in events]
        columns["interaction_extra"] = [event.interaction for event in events]
    with h5py.File(path, "w") as file:
        for name, rows in columns.items():
            dtype = cluster_type if name == "cluster" else np.float32
            data = file.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(dtype))
            for entry, row in enumerate(rows):
                data[entry] = row.astype(dtype).ravel()
    return path

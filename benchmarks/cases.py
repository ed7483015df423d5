"""The batches that every contestant is measured on: four synthetic track-like events and 32 packaged ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int32, Int64

from benchmarks.tracks import Tracks, draw_tracks

__all__ = ["CASES", "Case", "CaseBatch", "build_batch", "load_batch", "save_batch"]

SAMPLE_EVENTS = 32


@dataclass(frozen=True)
class Case:
    """A named batch.

    Attributes:
        name: how the command line calls it.
        text: what the tables call it.
        dim: axes of the image.
        tracks: how each event is drawn; None for the first 32 events of the packaged sample.
        events: events in the batch; event b is drawn from seed b.
        neighbours: neighbours per voxel at levels 0-4, the voxel itself included, that the case must reproduce.
        gflop: GFLOP of one forward pass, as stated together with `neighbours`.
    """

    name: str
    text: str
    dim: int
    tracks: Tracks | None = None
    events: int = 1
    neighbours: tuple[float, ...] = ()
    gflop: float | None = None


_CROWDED = Tracks(shape=(384,) * 3, voxels=40_000, width=0.65, charge=7.0, length=200.0, scatter=0.2, branch=0.5)
_SMALL = Tracks(shape=(224,) * 3, voxels=10_000, width=0.66, charge=7.5, length=200.0, scatter=0.2, branch=0.5)

CASES = {
    case.name: case
    for case in (
        Case("small", "3D, 10k voxels", 3, _SMALL, neighbours=(10.1, 10.2, 9.1, 8.2, 7.0), gflop=9.2),
        Case(
            "plane",
            "2D plane 3456 x 1008, 17.4k voxels",
            2,
            Tracks(shape=(3456, 1008), voxels=17_400, width=0.6, charge=7.0, length=300.0, scatter=0.05, branch=0.3),
            neighbours=(6.3, 5.9, 5.4, 5.0, 4.8),
            gflop=10.9,
        ),
        Case("medium", "3D, 40k voxels", 3, _CROWDED, neighbours=(9.8, 9.8, 8.9, 8.3, 7.7), gflop=37.4),
        Case(
            "large",
            "3D, 150k voxels",
            3,
            Tracks(shape=(512,) * 3, voxels=150_000, width=0.65, charge=7.0, length=200.0, scatter=0.2, branch=0.5),
            neighbours=(9.6, 9.7, 8.8, 8.5, 8.5),
            gflop=141.0,
        ),
        Case("sample32", "32 Geant4 events of the packaged sample", 3),
        Case("gpu32", "32 events of 10k voxels", 3, _SMALL, events=32),
        # For the tests of the benchmark itself.
        Case(
            "tiny",
            "2D, 400 voxels",
            2,
            Tracks(shape=(160, 112), voxels=400, width=0.6, charge=7.0, length=60.0, scatter=0.05, branch=0.3),
        ),
    )
}
"""Every case by name."""


@dataclass(frozen=True)
class CaseBatch:
    """Voxels of a case: rows of event b are `offsets[b]:offsets[b+1]`, sorted inside an event.

    Attributes:
        coords: voxel index.
        feats: one feature a voxel.
        shape: voxels of the image along each axis.
    """

    coords: Int32[torch.Tensor, "N D"]
    offsets: Int64[torch.Tensor, " B1"]
    feats: Float32[torch.Tensor, "N 1"]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.coords)

    def batch_coords(self) -> Int32[torch.Tensor, "N D1"]:
        """Coordinates with the event in front, as the peers want them."""
        counts = self.offsets.diff()
        event = torch.repeat_interleave(torch.arange(len(counts), dtype=torch.int32), counts)
        return torch.cat([event[:, None], self.coords], dim=1).contiguous()


def build_batch(case: Case) -> CaseBatch:
    """The voxels of a case; the same ones every time."""
    if case.tracks is None:
        return _sample_batch()
    events = [draw_tracks(case.tracks, seed) for seed in range(case.events)]
    coords = torch.from_numpy(np.concatenate(events).astype(np.int32))
    offsets = torch.from_numpy(np.cumsum([0, *(len(event) for event in events)]))
    energy = np.random.default_rng(1).exponential(1.0, (len(coords), 1)).astype(np.float32)
    return CaseBatch(coords, offsets, torch.from_numpy(energy), case.tracks.shape)


def _sample_batch() -> CaseBatch:
    from lartpc_sparse.data import collate
    from lartpc_sparse.data.readers import SampleConfig

    reader = SampleConfig(split="train", limit=SAMPLE_EVENTS).build()
    batch = collate([reader.read(index) for index in range(SAMPLE_EVENTS)])
    return CaseBatch(batch.coords, batch.offsets, batch.feats, batch.image_size)


def save_batch(batch: CaseBatch, path: Path) -> None:
    """Store a batch, so that a worker's peak memory does not hold the drawing of it."""
    np.savez(path, coords=batch.coords, offsets=batch.offsets, feats=batch.feats, shape=np.array(batch.shape))


def load_batch(path: Path) -> CaseBatch:
    """What `save_batch` stored."""
    with np.load(path) as file:
        return CaseBatch(
            torch.from_numpy(file["coords"]),
            torch.from_numpy(file["offsets"]),
            torch.from_numpy(file["feats"]),
            tuple(int(size) for size in file["shape"]),
        )

"""What no inpainting can beat, estimated from the true tracks themselves.

Voxels: an oracle that knows where the track ran in the gap (a polyline through the energy-weighted means of its true
voxels in steps along the way) and fills the voxels it goes through. What it misses is not in the path: which voxels at
its edge are above threshold, deltas. Charge: the energy of two stretches of one track, each as long as the gap is wide,
on its two sides; their ratio spreads by the fluctuations of both, so that of one is smaller by the root of 2.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

from benchmarks.inpainting.options import reader_of
from lartpc_sparse.cluster.gaps import crossing_ends, find_exits, voxels_of_line
from lartpc_sparse.data.dataset import event_rng
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.regions import SlabsConfig, box_of_voxel
from lartpc_sparse.data.single_particles import SingleParticles
from lartpc_sparse.data.transforms import rows_of
from lartpc_sparse.metrics.gap_crossings import Exact
from lartpc_sparse.metrics.voxel_counts import TolerantCounts, count_tolerant

__all__ = ["measure_ceiling"]

_STEP = 2.0
_LEAST_LENGTH = 0.1
"""Of the path in a voxel that counts, voxels: a minimum ionising particle leaves 0.05 MeV there."""


def measure_ceiling(options: argparse.Namespace) -> dict[str, Any]:
    """For each width: F1 of the oracle, exact and with tolerance, and the 68 % half width of the charge."""
    reader = SingleParticles(reader_of(options))
    found = {}
    for width in options.widths:
        exact, tolerant, ratios = Exact(), TolerantCounts(), []
        for draw in range(options.draws):
            for index in range(len(reader)):
                event = reader.read(index)
                region = SlabsConfig(width=(width, width))
                rng = event_rng(options.seed + draw, 0, index, 0)
                boxes = region.boxes(event.coords, event.image_size, rng)
                one = _one(event, boxes, width)
                if one is not None:
                    exact, tolerant = exact + one[0], tolerant + one[1]
                    ratios += one[2]
        low, high = np.quantile(ratios, (0.16, 0.84)) if ratios else (np.nan, np.nan)
        found[str(width)] = {
            "f1": exact.scores()["f1"],
            "tolerant_f1": tolerant.scores()["f1"],
            "charge_half_width_68": float(high - low) / 2 / np.sqrt(2) if ratios else None,
            "stretches": len(ratios),
        }
    return found


def _one(event: Event, boxes: np.ndarray, width: int) -> tuple[Exact, TolerantCounts, list[float]] | None:
    inside = box_of_voxel(event.coords, boxes) >= 0
    exits = find_exits(event.coords[~inside], event.energy[~inside], boxes, event.image_size)
    pair = crossing_ends(exits)
    if pair is None or not inside.any():
        return None
    ends = exits.place[list(pair)]
    true, energy = event.coords[inside], event.energy[inside].astype(np.float64)
    filled = _path(ends, true, energy)
    filled = filled[box_of_voxel(filled, boxes) >= 0]
    hit = int((rows_of(filled, true) >= 0).sum())
    counts = Exact(hit, len(filled) - hit, len(true) - hit)
    return counts, count_tolerant(filled, true), _neighbours(event, boxes[0], width)


def _path(ends: np.ndarray, true: np.ndarray, energy: np.ndarray) -> np.ndarray:
    line = ends[1] - ends[0]
    along = (true - ends[0]) @ line / max(float(np.linalg.norm(line)), 1e-9)
    step = np.floor(along / _STEP).astype(np.int64)
    points = [ends[0]]
    for number in np.unique(step):
        rows = step == number
        points.append((true[rows] * energy[rows, None]).sum(0) / energy[rows].sum())
    points.append(ends[1])
    parts = []
    for first, second in itertools.pairwise(points):
        voxels, length = voxels_of_line(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
        parts.append(np.column_stack([voxels, length]))
    joined = np.concatenate(parts)
    places, index = np.unique(joined[:, :-1].astype(np.int32), axis=0, return_inverse=True)
    return places[np.bincount(index.reshape(-1), joined[:, -1], len(places)) >= _LEAST_LENGTH]


def _neighbours(event: Event, box: np.ndarray, width: int) -> list[float]:
    axis = int(np.argmin(box[1] - box[0]))
    place = event.coords[:, axis]
    before = event.energy[(place >= box[0, axis] - width) & (place < box[0, axis])]
    after = event.energy[(place >= box[1, axis]) & (place < box[1, axis] + width)]
    whole = place.min() < box[0, axis] - width and place.max() >= box[1, axis] + width
    return [float(before.sum() / after.sum())] if whole and len(before) and len(after) else []

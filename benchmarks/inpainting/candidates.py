"""Dense and grown candidates in the gaps of the DUNE 2x2: how many, what they can reach, memory and time."""

from __future__ import annotations

import argparse
import time
import tracemalloc
from typing import Any

import numpy as np

from benchmarks.inpainting.options import reader_of
from lartpc_sparse.cluster.gaps import CandidatesConfig, DenseConfig, GrownConfig
from lartpc_sparse.data.regions import DetectorGapsConfig, box_of_voxel
from lartpc_sparse.data.single_particles import instances_of
from lartpc_sparse.data.transforms import rows_of

__all__ = ["measure_candidates"]

_BYTES_A_VOXEL = 4 * (3 + 1 + 1 + 2 * 16)
"""Of the network's input and of one layer of 16 features in and out, float32: a lower bound."""


def measure_candidates(options: argparse.Namespace) -> dict[str, Any]:
    """For the module gap along the drift, the one along the beam, and the cathodes; the image cut to one 2x2 detector.

    The dense grid is the same for every event and is made for one.
    """
    reader = reader_of(options)
    region = DetectorGapsConfig(geometry="dune_2x2", shift="centred")
    size = reader.image_size
    boxes = region.boxes(np.empty((0, 3), dtype=np.int32), size, np.random.default_rng(0))
    detector = np.array([round(axis.length_cm / 0.3) for axis in region.detector().axes])
    low = (np.array(size) - detector) // 2
    boxes = np.stack([np.maximum(boxes[:, 0], low), np.minimum(boxes[:, 1], low + detector)], axis=1)
    kinds: dict[str, CandidatesConfig] = {"dense": DenseConfig(max_candidates=40_000_000), "grown": GrownConfig()}
    found: dict[str, Any] = {"boxes": boxes.tolist()}
    for kind, config in kinds.items():
        rows = [_one(config, reader.read(index), boxes) for index in range(len(reader) if kind == "grown" else 1)]
        found[kind] = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        totals = {name: sum(row[name] for row in rows) for name in rows[0]}
        for group in ("all", "track"):
            reached = totals[f"reached_{group}"] / max(totals[f"true_{group}"], 1)
            found[kind][f"recall_{group}"] = 1.0 if kind == "dense" else reached
    return found


def _one(config: CandidatesConfig, event: Any, boxes: np.ndarray) -> dict[str, float]:
    gap = box_of_voxel(event.coords, boxes)
    outside = gap < 0
    given = event.coords[outside], event.energy[outside], boxes, event.image_size
    start = time.perf_counter()
    config.positions(*given)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    places = config.positions(*given).coords
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reached = rows_of(event.coords[~outside], places) >= 0
    track = instances_of(event)[~outside] >= 0
    return {
        "candidates": float(len(places)),
        "true_all": float(len(reached)),
        "reached_all": float(reached.sum()),
        "true_track": float(track.sum()),
        "reached_track": float((reached & track).sum()),
        "seconds": seconds,
        "peak_mib": peak / 2**20,
        "network_input_mib": len(places) * _BYTES_A_VOXEL / 2**20,
    }

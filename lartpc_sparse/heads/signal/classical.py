"""The classical chain on one frame, with the time of every step."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64

from lartpc_sparse.cluster.pixels import PixelClusteringConfig
from lartpc_sparse.data.camera.frame_image import FrameImage
from lartpc_sparse.heads.signal.evaluation import ClassicalChainConfig

__all__ = ["Found", "classical_chain"]


@dataclass
class Found:
    """Clusters of one frame.

    Attributes:
        coords: pixels.
        labels: cluster of each, -1 for none.
        pixels: number of pixels that were sent to clustering.
        seconds: of every step.
        clusters: how they were made.
    """

    coords: Int32[np.ndarray, "N 2"]
    labels: Int64[np.ndarray, " N"]
    pixels: int
    seconds: dict[str, float]
    clusters: PixelClusteringConfig


def classical_chain(frame: FrameImage, config: ClassicalChainConfig) -> Found:
    """Preprocess a frame and cluster what is left."""
    seconds: dict[str, float] = {}
    for step in config.preprocess:
        begin = time.perf_counter()
        frame = step.apply(frame)
        seconds[step.kind] = seconds.get(step.kind, 0.0) + time.perf_counter() - begin
    begin = time.perf_counter()
    coords = np.argwhere(frame.values > 0).astype(np.int32)
    values = frame.values[coords[:, 0], coords[:, 1]]
    if len(coords) > config.max_pixels:
        labels = np.full(len(coords), -1, dtype=np.int64)
    else:
        labels = config.clusters.find(coords, values)
    seconds["clustering"] = time.perf_counter() - begin
    return Found(coords, labels, len(coords), seconds, config.clusters)

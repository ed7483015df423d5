"""Long clusters grow along a fitted line: what the density of DBSCAN cuts off at the faint end of a track is joined."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Int64
from pydantic import Field

from lartpc_sparse.schema import Config

__all__ = ["DirectionalConfig", "grow_directional"]


class DirectionalConfig(Config):
    """Growth along the line through a cluster."""

    radius: float = Field(35.0, gt=0, description="how far beyond an end, pixels; dir_radius of the seed: 35")
    half_width: float = Field(3.0, gt=0, description="distance from the line within which a pixel is joined, pixels")
    min_pixels: int = Field(10, ge=2, description="smaller clusters have no line")
    min_elongation: float = Field(3.0, ge=1, description="ratio of the spreads along and across the line")
    max_rounds: int = Field(20, ge=1, description="the line is fitted again so often")


def grow_directional(
    coords: Int[np.ndarray, "N 2"],
    weight: Float[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    config: DirectionalConfig,
) -> Int64[np.ndarray, " N"]:
    """Clusters with what lies in the continuation of their lines: single pixels, and smaller clusters as a whole.

    The brightest cluster is the first. Its line is the weighted principal axis; pixels within `radius` beyond an end
    and `half_width` of the line join, the line is fitted anew, until nothing joins.

    Args:
        coords: pixel index.
        weight: intensity; negative ones count 0.
        labels: clusters to begin with, -1 for none.
        config: parameters.

    Returns:
        labels; those of clusters that were joined do not occur any more.
    """
    result = labels.astype(np.int64)
    bright = np.maximum(weight, 0)
    number = int(labels.max(initial=-1)) + 1
    order = np.argsort(-np.bincount(result[result >= 0], weights=bright[result >= 0], minlength=number), kind="stable")
    done: set[int] = set()
    for cluster in order.tolist():
        if cluster in done:
            continue
        done.add(cluster)
        for _ in range(config.max_rounds):
            own = result == cluster
            joined = _beyond(coords, bright, own, config)
            free = joined & ~np.isin(result, list(done))
            if not free.any():
                break
            swallowed = np.unique(result[free])
            swallowed = swallowed[swallowed >= 0]
            done.update(swallowed.tolist())
            result[free | np.isin(result, swallowed)] = cluster
    return result


def _beyond(coords: np.ndarray, weight: np.ndarray, own: np.ndarray, config: DirectionalConfig) -> np.ndarray:
    """Pixels in the continuation of the line through the pixels `own`."""
    nothing = np.zeros(len(coords), dtype=np.bool_)
    if int(own.sum()) < config.min_pixels or weight[own].sum() <= 0:
        return nothing
    mean = np.average(coords[own], axis=0, weights=weight[own])
    centred = coords - mean
    inside, share = centred[own], weight[own] / weight[own].sum()
    spread, axes = np.linalg.eigh((inside * share[:, None]).T @ inside)
    if spread[1] < config.min_elongation**2 * max(spread[0], 1 / 12):
        return nothing
    along, across = centred @ axes[:, 1], np.abs(centred @ axes[:, 0])
    low, high = along[own].min(), along[own].max()
    near = (along > low - config.radius) & (along < high + config.radius)
    outside = (along < low) | (along > high)
    found: np.ndarray = near & outside & (across <= config.half_width) & ~own
    return found

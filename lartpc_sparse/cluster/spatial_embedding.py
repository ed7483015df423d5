"""Decoding of spatial embeddings into clusters (arXiv:2007.03083; Neven et al., arXiv:1906.11109)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import Field

from lartpc_sparse.schema import Config

__all__ = ["ClusterThresholds", "Leftover", "decode_embedding"]

Leftover = Literal["nearest", "unassigned"]

# A half-precision sigmoid reaches 0; the floor keeps such a voxel a cluster of its own position.
_SMALLEST_MARGIN = 1e-12


class ClusterThresholds(Config):
    """Thresholds of the decoding for one semantic class."""

    seed: float = Field(ge=0, le=1, description="least seediness of a voxel that may start a cluster, 0..1")
    probability: float = Field(
        gt=0, lt=1, description="a cluster claims the voxels whose membership probability exceeds this, 0..1"
    )
    min_voxels: int = Field(default=1, ge=1, description="clusters that claim fewer voxels than this are dissolved")


def decode_embedding(
    embedding: Float[np.ndarray, "N D"],
    margin: Float[np.ndarray, " N"],
    seediness: Float[np.ndarray, " N"],
    *,
    seed_threshold: float,
    probability_threshold: float,
    leftover: Leftover,
    min_voxels: int = 1,
) -> Int64[np.ndarray, " N"]:
    """Cluster the voxels of one event and one semantic class.

    Take the unassigned voxel s of highest seediness (the first in input order among equals); stop when it is
    below `seed_threshold`; claim the unassigned voxels i with p_i > `probability_threshold`, where
    p_i = exp(-|e_i - e_s|^2 / (2 sigma_s^2)); repeat. Voxels of a cluster with fewer than `min_voxels` claimed
    voxels become left-over and start no further cluster. O(N) work for each cluster.

    Args:
        embedding: e, in units of half the image side.
        margin: sigma, same unit.
        seediness: s, 0..1.
        seed_threshold: least seediness of a seed.
        probability_threshold: least probability of a claimed voxel, exclusive; between 0 and 1.
        leftover: voxels that no cluster claimed go to the cluster with the highest p ("nearest") or get -1
            ("unassigned").
        min_voxels: least number of claimed voxels of a cluster.

    Returns:
        Cluster of each voxel, 0..K-1 in the order of claiming. When no cluster is found at all (no seed, or
        all dissolved), every voxel is in cluster 0, for either choice of `leftover`.

    Raises:
        ValueError: lengths differ, a value is not finite, a margin is negative, or a threshold is out of range.
    """
    _check_arrays(embedding, margin, seediness)
    if not 0 < probability_threshold < 1 or min_voxels < 1:
        raise ValueError(
            f"need 0 < probability_threshold < 1 and min_voxels >= 1, got {probability_threshold} and {min_voxels}"
        )
    if leftover not in ("nearest", "unassigned"):
        raise ValueError(f"leftover must be 'nearest' or 'unassigned', not {leftover!r}")
    points = embedding.astype(np.float64)
    scale = 2 * np.maximum(margin.astype(np.float64), _SMALLEST_MARGIN) ** 2
    cluster, seeds = _claim(
        points,
        scale,
        seediness,
        seed_threshold=seed_threshold,
        probability_threshold=probability_threshold,
        min_voxels=min_voxels,
    )
    if len(seeds) == 0:
        return np.zeros(len(points), dtype=np.int64)
    if leftover == "nearest":
        left = np.flatnonzero(cluster < 0)
        cluster[left] = _most_probable(points[left], points[seeds], scale[seeds])
    return cluster


def _claim(
    points: Float64[np.ndarray, "N D"],
    scale: Float64[np.ndarray, " N"],
    seediness: Float[np.ndarray, " N"],
    *,
    seed_threshold: float,
    probability_threshold: float,
    min_voxels: int,
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " K"]]:
    """Clusters of the claimed voxels (-1 elsewhere) and the row of each cluster's seed."""
    # p > threshold written for the exponent: exp underflows for far voxels, the exponent does not
    furthest = -np.log(probability_threshold)
    # In order of seediness the next seed is always the first free row; one contiguous line an axis.
    rows = np.argsort(-seediness.astype(np.float64), kind="stable")
    held, free = np.ascontiguousarray(points[rows].T), np.ones(len(rows), dtype=np.bool_)
    cluster = np.full(len(points), -1, dtype=np.int64)
    seeds: list[int] = []
    num_free = len(rows)
    while num_free:
        first = int(free.argmax())
        if seediness[rows[first]] < seed_threshold:
            break
        claimed = (_exponent(held, held[:, first], scale[rows[first]]) < furthest) & free
        count = int(np.count_nonzero(claimed))
        if count >= min_voxels:
            cluster[rows[claimed]] = len(seeds)
            seeds.append(int(rows[first]))
        free &= ~claimed
        num_free -= count
        if num_free < 0.8 * len(rows):  # dropping rows costs more than a distance: not after every cluster
            rows, held = rows[free], np.compress(free, held, axis=1)
            free = np.ones(num_free, dtype=np.bool_)
    return cluster, np.array(seeds, dtype=np.int64)


def _exponent(
    points: Float64[np.ndarray, "D M"], centre: Float64[np.ndarray, " D"], scale: float
) -> Float64[np.ndarray, " M"]:
    """-log p of each point (a column) for a cluster at `centre` with 2 sigma^2 = `scale`."""
    difference = points - centre[:, None]
    return np.asarray(np.einsum("dm,dm->m", difference, difference) / scale)


def _most_probable(
    points: Float64[np.ndarray, "M D"], centres: Float64[np.ndarray, "K D"], scales: Float64[np.ndarray, " K"]
) -> Int64[np.ndarray, " M"]:
    """Cluster with the highest p for each point, the first one among equals. O(M) memory."""
    best = np.full(len(points), np.inf)
    cluster = np.zeros(len(points), dtype=np.int64)
    columns = np.ascontiguousarray(points.T)
    for k in range(len(centres)):
        exponent = _exponent(columns, centres[k], scales[k])
        closer = exponent < best
        cluster[closer] = k
        best[closer] = exponent[closer]
    return cluster


def _check_arrays(
    embedding: Float[np.ndarray, "N D"], margin: Float[np.ndarray, " N"], seediness: Float[np.ndarray, " N"]
) -> None:
    if embedding.ndim != 2:
        raise ValueError(f"embedding must have shape (N, D), not {embedding.shape}")
    for name, column in (("margin", margin), ("seediness", seediness)):
        if column.shape != (len(embedding),):
            raise ValueError(f"{name} has shape {column.shape}, expected ({len(embedding)},)")
    for name, values in (("embedding", embedding), ("margin", margin), ("seediness", seediness)):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise ValueError(f"{bad} values of {name} are not finite; the network's output is broken")
    if len(margin) and margin.min() < 0:
        raise ValueError(f"margin must not be negative, got {margin.min()}")

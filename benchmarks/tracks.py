"""Synthetic track-like events: branching, scattering, two to three voxels thick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["Tracks", "draw_tracks"]


@dataclass(frozen=True)
class Tracks:
    """How an event is drawn; lengths in voxels.

    Attributes:
        shape: voxels of the image along each axis.
        voxels: number of voxels of the event, exactly.
        width: standard deviation of the charge around the track, per axis.
        charge: mean number of charge points per voxel of track; their voxels make the event.
        length: mean length of a track (exponential).
        scatter: standard deviation of the change of direction per voxel, per axis (radian).
        branch: probability that a track has a branch.
    """

    shape: tuple[int, ...]
    voxels: int
    width: float
    charge: float
    length: float
    scatter: float
    branch: float


def draw_tracks(tracks: Tracks, seed: int) -> Int64[np.ndarray, "N D"]:
    """Voxels of one event in lexicographic order, `tracks.voxels` of them; the same for the same seed."""
    generator = np.random.default_rng(seed)
    shape = np.array(tracks.shape)
    branches: list[tuple[np.ndarray, np.ndarray]] = []
    voxels = np.empty((0, len(shape)), dtype=np.int64)
    # Many tracks at a time: removing double voxels after each single one would take most of the time.
    at_once = 1 + int(0.15 * tracks.voxels / (tracks.length * tracks.charge))
    while len(voxels) < tracks.voxels:
        drawn = np.concatenate([voxels, *(_draw_track(tracks, generator, branches) for _ in range(at_once))])
        drawn = drawn[((drawn >= 0) & (drawn < shape)).all(axis=1)]
        _, first = np.unique(drawn, axis=0, return_index=True)
        voxels = drawn[np.sort(first)]  # in order of appearance, so that cutting drops whole tracks
    voxels = voxels[: tracks.voxels]
    return voxels[np.lexsort(voxels.T[::-1])]


def _draw_track(
    tracks: Tracks, generator: np.random.Generator, branches: list[tuple[np.ndarray, np.ndarray]]
) -> Int64[np.ndarray, "P D"]:
    """Voxels of the charge points of one track, which begins anywhere or as a branch of an earlier one."""
    dim = len(tracks.shape)
    if branches and generator.random() < 0.5:
        start, heading = branches.pop(generator.integers(len(branches)))
    else:
        start, heading = generator.uniform(0, tracks.shape), generator.normal(size=dim)
    steps = 10 + int(generator.exponential(tracks.length))
    directions = _unit(_unit(heading) + np.cumsum(generator.normal(size=(steps, dim)) * tracks.scatter, axis=0))
    line = start + np.cumsum(directions, axis=0)
    if generator.random() < tracks.branch:
        where = generator.integers(steps)
        branches.append((line[where], directions[where] + 0.7 * generator.normal(size=dim)))
    points = generator.poisson(tracks.charge, steps)
    place = np.repeat(line, points, axis=0)
    along = generator.uniform(-0.5, 0.5, (len(place), 1)) * np.repeat(directions, points, axis=0)
    voxels: Int64[np.ndarray, "P D"] = np.floor(
        place + along + tracks.width * generator.normal(size=place.shape)
    ).astype(np.int64)
    return voxels


def _unit(vectors: Float64[np.ndarray, "*N D"]) -> Float64[np.ndarray, "*N D"]:
    unit: Float64[np.ndarray, "*N D"] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit

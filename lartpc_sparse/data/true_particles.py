"""The true particles of an event, from its particle table."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Shaped

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.vertices import table_positions

__all__ = ["TRUE_PARTICLES", "true_particles"]

TRUE_PARTICLES = "truth:particles"
"""Table of a prediction with the true particles; no head can have this name."""


def true_particles(event: Event) -> dict[str, Shaped[np.ndarray, "P ..."]]:
    """One row for each group of the particle table, from its first row; no rows when the table has no groups.

    Returns:
        `group` int32; `start` (P, D) float32 in voxels of the file's image (`vertex_x`, ...), NaN where it is not
        known or outside the image, as the positions in public PILArNet-M files are not voxels; `direction` (P, D)
        float32, unit vector (`px_gev`, ... in 3D), NaN where not known; `kinetic_energy_mev` float32, NaN where not
        known.
    """
    particles, dim = event.particles, event.dim
    group = np.asarray(particles.get("group", np.empty(0))).astype(np.int64)
    groups, rows = np.unique(group, return_index=True)
    rows = rows[groups >= 0]
    starts = table_positions(particles, "vertex", dim)
    start = np.full((len(rows), dim), np.nan, dtype=np.float32) if starts is None else starts[rows]
    size = np.array(event.image_size)
    start = np.where(((start >= 0) & (start <= size)).all(axis=1, keepdims=True), start, np.nan)
    energy = particles.get("kinetic_energy_mev")
    return {
        "group": group[rows].astype(np.int32),
        "start": start.astype(np.float32),
        "direction": _directions(event)[rows] if len(rows) else np.empty((0, dim), dtype=np.float32),
        "kinetic_energy_mev": np.full(len(rows), np.nan, dtype=np.float32)
        if energy is None
        else np.where(energy[rows] > 0, energy[rows], np.nan).astype(np.float32),
    }


def _directions(event: Event) -> Float32[np.ndarray, "P D"]:
    particles, dim = event.particles, event.dim
    names = [f"p{axis}_gev" for axis in "xyz"]
    if dim != 3 or not all(name in particles for name in names):
        return np.full((len(particles["group"]), dim), np.nan, dtype=np.float32)
    momentum = np.stack([np.asarray(particles[name]) for name in names], axis=1).astype(np.float64)
    length = np.linalg.norm(momentum, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(momentum / length, dtype=np.float32)

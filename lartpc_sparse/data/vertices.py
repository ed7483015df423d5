"""Where the interactions of an event are, from its particle table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Shaped

from lartpc_sparse.data.event import Event

__all__ = ["VERTEX_TABLE", "interaction_vertices", "table_positions"]

VERTEX_TABLE = "truth:vertices"
"""Table of a prediction with the vertices (column `position`); no head can have this name."""


def interaction_vertices(event: Event) -> Float32[np.ndarray, "V D"]:
    """Positions of the interactions in the image of the file, in voxels; voxel i reaches from i to i + 1.

    Of the particle table, the first that there is:

    - `interaction_x`, ...: vertex of the particle's interaction (PILArNet-M version 3);
    - `vertex_x`, ... with `is_primary`: where the primary particles start;
    - `vertex_x`, ... with `interaction`: where the first particle of each interaction starts (files list an
      interaction's primaries first).

    An image of a wire plane has them as `plane_interaction_x`, ... or `plane_vertex_x`, ...; positions in cm (larcv's
    `vtx_x`, ...) are not used.

    Returns:
        One row a vertex, none twice; no rows when the table does not tell.
    """
    particles = event.particles
    if (positions := table_positions(particles, "interaction", event.dim)) is not None:
        chosen = np.ones(len(positions), dtype=np.bool_)
        if "interaction" in particles:
            chosen = particles["interaction"] >= 0
    elif (positions := table_positions(particles, "vertex", event.dim)) is not None:
        chosen = _primaries(particles, len(positions))
    else:
        return np.empty((0, event.dim), dtype=np.float32)
    found = positions[chosen & np.isfinite(positions).all(axis=1)]
    return np.unique(found, axis=0)


def table_positions(
    particles: Mapping[str, Shaped[np.ndarray, "P ..."]], name: str, dim: int
) -> Float32[np.ndarray, "P D"] | None:
    """A position of the particle table with as many axes as the image, float32; None: it does not have it."""
    for prefix in (f"plane_{name}", name) if dim == 2 else (name,):
        present = [axis for axis in "xyz" if f"{prefix}_{axis}" in particles]
        if present == list("xyz"[:dim]):
            return np.stack([particles[f"{prefix}_{axis}"] for axis in present], axis=1).astype(np.float32)
    return None


def _primaries(particles: Mapping[str, Shaped[np.ndarray, "P ..."]], count: int) -> Shaped[np.ndarray, " P"]:
    if "is_primary" in particles:
        return np.asarray(particles["is_primary"] == 1)
    first = np.zeros(count, dtype=np.bool_)
    if "interaction" in particles:
        numbers, rows = np.unique(particles["interaction"], return_index=True)
        first[rows[numbers >= 0]] = True
    return first

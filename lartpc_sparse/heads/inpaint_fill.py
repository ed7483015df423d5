"""What goes into the image: which candidates are filled, and with how much energy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int, Int64
from scipy.spatial import cKDTree

__all__ = ["filled_energy"]

REACH = 3.0
"""Expected energy of a candidate that is not filled goes to a filled one at most this far away, voxels."""


def filled_energy(
    coords: Int[np.ndarray, "K D"],
    probability: Float[np.ndarray, " K"],
    energy: Float[np.ndarray, " K"],
    gap: Int64[np.ndarray, " K"],
    threshold: float,
    *,
    expected: bool,
) -> Float32[np.ndarray, " K"]:
    """Energy that each candidate gets; 0: it is not filled.

    A candidate is filled from `threshold` on, with its energy. With `expected` it gets probability x energy instead,
    and that of the candidates around that are not filled: so the charge of a gap is its expectation, which does not
    depend on the threshold.

    Args:
        coords: voxel index.
        probability: that it is active.
        energy: that it holds if it is, MeV.
        gap: its gap; energy does not go from one to another.
        threshold: of the probability.
        expected: see above.
    """
    chosen = probability.astype(np.float64) >= threshold
    if not expected:
        return np.where(chosen, energy, 0.0).astype(np.float32)
    mean = probability.astype(np.float64) * energy
    found = np.where(chosen, mean, 0.0)
    for number in np.unique(gap[chosen]):
        own = gap == number
        filled, rest = np.flatnonzero(own & chosen), np.flatnonzero(own & ~chosen)
        found_there = cKDTree(coords[filled]).query(coords[rest], distance_upper_bound=REACH + 1e-9)
        distance, nearest = np.asarray(found_there[0]), np.asarray(found_there[1])
        near = np.isfinite(distance)
        np.add.at(found, filled[nearest[near]], mean[rest[near]])
    return found.astype(np.float32)

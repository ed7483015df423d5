"""What goes into the image: which candidates are filled, and with how much energy."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64
from scipy.spatial import cKDTree

from lartpc_sparse.cluster.connected import connected_components

__all__ = ["crossing_thresholds", "filled_energy"]

REACH = 3.0
"""Expected energy of a candidate that is not filled goes to a filled one at most this far away, voxels."""

FAINT = 0.05
"""Candidates below this probability do not join others to one crossing."""


def crossing_thresholds(
    coords: Int[np.ndarray, "K D"],
    probability: Float[np.ndarray, " K"],
    gap: Int64[np.ndarray, " K"],
    threshold: Float64[np.ndarray, " K"],
    share: float,
) -> Float64[np.ndarray, " K"]:
    """The threshold of each candidate: that of its crossing, at least that of its gap (and `FAINT`).

    The F1 of a set of voxels is highest at a threshold of half that F1 (Lipton et al., arXiv:1402.1892). That of a
    gap is the one for all gaps of its width, most voxels of which belong to showers and are hard to know; where a
    track crosses, much more is known, and its own threshold keeps it thin.

    Args:
        coords: voxel index.
        probability: that it is active.
        gap: its gap.
        threshold: of the gap of each.
        share: a crossing (candidates of a gap that touch) whose probabilities promise an F1 of f has a threshold of
            share x f / 2; 0 leaves that of the gap everywhere.
    """
    # Faint ones belong to no crossing and must not be filled where a likelier one of a crossing is not.
    found = threshold if share == 0 else np.maximum(threshold, FAINT)
    joined = np.flatnonzero(probability.astype(np.float64) >= FAINT)
    if share == 0 or not len(joined):
        return found
    group = connected_components(coords[joined], gap[joined])
    order = np.lexsort((-probability[joined], group))
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    for rows in np.split(joined[order], first[1:]):
        hits = np.cumsum(probability[rows], dtype=np.float64)
        promised = 2 * hits / (np.arange(1, len(rows) + 1) + hits[-1])
        found[rows] = np.maximum(threshold[rows], share * float(promised.max()) / 2)
    return found


def filled_energy(
    coords: Int[np.ndarray, "K D"],
    probability: Float[np.ndarray, " K"],
    energy: Float[np.ndarray, " K"],
    gap: Int64[np.ndarray, " K"],
    threshold: Float64[np.ndarray, " K"],
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
        threshold: of the probability, for each.
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

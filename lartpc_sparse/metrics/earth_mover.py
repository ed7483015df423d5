"""Earth mover's distance between two distributions of charge over voxels."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

__all__ = ["earth_mover_distance"]

MAX_PAIRS = 40_000


def earth_mover_distance(
    first: Int[np.ndarray, "N D"],
    first_charge: Float[np.ndarray, " N"],
    second: Int[np.ndarray, "M D"],
    second_charge: Float[np.ndarray, " M"],
) -> float | None:
    """Least mean distance that the charge of one set is moved to become the other, in voxels (Rubner et al. 2000).

    Both sets are scaled to one unit of charge, so that only where the charge is counts. Solved exactly as a linear
    program (HiGHS).

    Returns:
        None when a set has no charge, or there are more than 40,000 pairs of voxels.
    """
    a, b = first_charge.astype(np.float64), second_charge.astype(np.float64)
    n, m = len(a), len(b)
    if n * m > MAX_PAIRS or not (a.sum() > 0 and b.sum() > 0):
        return None
    rows = np.concatenate([np.repeat(np.arange(n), m), n + np.tile(np.arange(m), n)])
    columns = np.tile(np.arange(n * m), 2)
    equal = csr_array((np.ones(2 * n * m), (rows, columns)), shape=(n + m, n * m))
    # one of the n + m sums follows from the others; leaving it out spares the solver a rounding quarrel
    found = linprog(
        cdist(first.astype(np.float64), second.astype(np.float64)).reshape(-1),
        A_eq=equal[:-1],  # type: ignore[call-overload]  # the stubs know no sparse arrays
        b_eq=np.concatenate([a / a.sum(), b / b.sum()])[:-1],
        method="highs",
    )
    return float(found.fun) if found.success else None

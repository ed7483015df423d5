"""Calls of the compiled neighbour search."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int32, Int64

from lartpc_sparse.sparse.native.library import check_status, library

__all__ = ["near_other_class"]


def near_other_class(
    coords: Int32[np.ndarray, "N D"], label: Int64[np.ndarray, " N"], distance: float, *, box: bool
) -> Bool[np.ndarray, " N"]:
    """Whether a voxel and one of another class within `distance` both have a label >= 0; 1 to 4 axes.

    Args:
        coords: voxels.
        label: class of each, below 0 for none.
        distance: in voxels, not negative; Euclidean, or with `box` the longest difference along an axis.
        box: see `distance`.

    Raises:
        RuntimeError: the voxels are too far apart for their cells to be numbered (65535 cells along an axis in four
            dimensions, 2 million in three).
    """
    rows, labels = np.ascontiguousarray(coords), np.ascontiguousarray(label)
    near = np.zeros(len(rows), dtype=np.bool_)
    check_status(
        library().near_other_class(
            rows.ctypes.data, labels.ctypes.data, *rows.shape, distance, int(box), near.ctypes.data
        )
    )
    return near

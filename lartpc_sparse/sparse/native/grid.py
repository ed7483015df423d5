"""Calls of the compiled functions for voxels that are numbers of an image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, UInt64

from lartpc_sparse.sparse.native.library import check_status, library

__all__ = ["voxel_coords"]


def voxel_coords(
    ids: UInt64[np.ndarray, " N"], image_size: tuple[int, ...], *, first_axis_first: bool
) -> Int32[np.ndarray, "N D"] | None:
    """Voxel indices of voxel numbers; None when one lies outside the image.

    Args:
        ids: voxel numbers.
        image_size: voxels along each of 1 to 4 axes, fewer than 2^64 in all.
        first_axis_first: neighbours along the first axis have neighbouring numbers; else along the last.

    Raises:
        RuntimeError: an image size that is not served.
    """
    rows, size = np.ascontiguousarray(ids, dtype=np.uint64), np.array(image_size, dtype=np.int64)
    coords = np.empty((len(rows), len(size)), dtype=np.int32)
    inside = library().voxel_coords(
        rows.ctypes.data, len(rows), size.ctypes.data, len(size), int(first_axis_first), coords.ctypes.data
    )
    check_status(min(inside, 0))
    return coords if inside == len(rows) else None

"""Columns of larcv particle tables: their names, and their marks for "not set"."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Shaped

__all__ = ["root_column_names", "tidy_column"]

_PREFIX = "_part_v._"
_NOT_SET_INT64 = np.iinfo(np.int64).max
_NOT_SET_FLOAT = 1.79e308
"""A little less than kINVALID_DOUBLE, the largest double."""
_NOT_SET_VERTEX = -9.2233720368e12
"""A little more than what larcv::Vertex makes of kINVALID_DOUBLE when it rounds to 1e-6: the smallest i8 / 1e6."""


def root_column_names(leaves: Iterable[str]) -> dict[str, str]:
    """Column name -> leaf: `_part_v._vtx._x` is `vtx_x`. Leaves outside the vector of particles are left out."""
    return {
        leaf.removeprefix(_PREFIX).replace("._", "_").replace(".", "_"): leaf
        for leaf in leaves
        if leaf.startswith(_PREFIX)
    }


def tidy_column(column: Shaped[np.ndarray, " P"]) -> Shaped[np.ndarray, " P"]:
    """A column with int64 in place of other whole numbers, and "not set" as -1 (unsigned) or NaN.

    larcv marks what is not set with the largest value of the type: 65535 for a u2 (index), and so on; ids of newer
    files are u8 with the largest value of i8.
    """
    if column.dtype.kind == "u":
        not_set = (column == np.iinfo(column.dtype).max) | (column >= _NOT_SET_INT64)
        tidy: np.ndarray = np.where(not_set, 0, column).astype(np.int64) - not_set
        return tidy
    if column.dtype.kind == "i":
        return column.astype(np.int64)
    if column.dtype == np.float64:
        return np.where((column >= _NOT_SET_FLOAT) | (column <= _NOT_SET_VERTEX), np.nan, column)
    return column

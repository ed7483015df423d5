"""Arrays as compact text for the page's script, which makes typed arrays of them."""

from __future__ import annotations

import base64

import numpy as np
from jaxtyping import Shaped

__all__ = ["pack", "unpack"]

_TYPES = ("int8", "int16", "int32")


def pack(values: Shaped[np.ndarray, "..."]) -> dict[str, str]:
    """Type and base64 of the little-endian bytes, row by row.

    Integers and booleans take the smallest of int8, int16 and int32 that holds them; floats become float32.

    Raises:
        ValueError: an integer is beyond int32, or the array holds no numbers.
    """
    if values.dtype.kind not in "biuf":
        raise ValueError(f"cannot pack values of type {values.dtype}; pass numbers")
    name = "float32" if values.dtype.kind == "f" else _smallest(values)
    data = np.ascontiguousarray(values, dtype=np.dtype(name).newbyteorder("<"))
    return {"type": name, "data": base64.b64encode(data.tobytes()).decode("ascii")}


def unpack(packed: dict[str, str]) -> Shaped[np.ndarray, " N"]:
    """The flat array that `pack` stored."""
    dtype = np.dtype(packed["type"]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(packed["data"]), dtype=dtype).astype(packed["type"])


def _smallest(values: Shaped[np.ndarray, "..."]) -> str:
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for name in _TYPES:
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return name
    raise ValueError(f"integers span {low}..{high}, beyond int32")

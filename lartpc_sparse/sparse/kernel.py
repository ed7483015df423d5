"""Kernel slots: which offset each of the K weights of a kernel belongs to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

__all__ = ["axis_offsets", "kernel_offsets", "kernel_volume", "per_axis"]


def per_axis(value: int | Sequence[int], dim: int, name: str) -> tuple[int, ...]:
    """One positive number an axis from a number or a sequence.

    Raises:
        ValueError: wrong length or a number below 1; `name` is what the message calls it.
    """
    values = (value,) * dim if isinstance(value, int) else tuple(value)
    if len(values) != dim or min(values) < 1:
        raise ValueError(f"{name} must be one number >= 1 or {dim} of them, got {value}")
    return values


def axis_offsets(size: int) -> range:
    """Offsets along one axis: centred for odd sizes, 0 .. size-1 for even ones."""
    low = -(size // 2) if size % 2 else 0
    return range(low, low + size)


def kernel_offsets(kernel_size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The K offsets in slot order, last axis fastest (the order of a dense torch weight).

    A convolution computes out[q] = sum_k W_k in[stride * q + offset_k].
    """
    return list(itertools.product(*(axis_offsets(size) for size in kernel_size)))


def kernel_volume(kernel_size: tuple[int, ...]) -> int:
    """Number of slots K."""
    return math.prod(kernel_size)

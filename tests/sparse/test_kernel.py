"""Kernel slots and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from lartpc_sparse.sparse import kernel_offsets
from lartpc_sparse.sparse.kernel import axis_offsets, kernel_volume, per_axis


@pytest.mark.parametrize(
    ("size", "offsets"), [(1, [0]), (2, [0, 1]), (3, [-1, 0, 1]), (4, [0, 1, 2, 3]), (5, [-2, -1, 0, 1, 2])]
)
def test_axis_offsets(size: int, offsets: list[int]) -> None:
    assert list(axis_offsets(size)) == offsets


@pytest.mark.parametrize("kernel_size", [(3,), (2, 3), (3, 1, 5), (2, 2, 2, 3)])
def test_slots_come_in_the_order_of_a_dense_weight(kernel_size: tuple[int, ...]) -> None:
    lowest = np.array([axis_offsets(size)[0] for size in kernel_size])
    expected = [tuple(np.array(index) + lowest) for index in np.ndindex(*kernel_size)]
    assert kernel_offsets(kernel_size) == expected
    assert kernel_volume(kernel_size) == len(expected)


def test_per_axis_repeats_a_number_and_keeps_a_sequence() -> None:
    assert per_axis(2, 3, "step") == (2, 2, 2)
    assert per_axis([1, 2], 2, "step") == (1, 2)


@pytest.mark.parametrize(("value", "dim"), [(0, 2), (-1, 2), ((1, 2, 3), 2), ((1,), 2), ((1, 0), 2)])
def test_per_axis_refuses_what_does_not_fit(value: int | tuple[int, ...], dim: int) -> None:
    with pytest.raises(ValueError, match="step must be one number >= 1 or 2 of them"):
        per_axis(value, dim, "step")

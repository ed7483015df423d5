"""The convolutions that every engine is tested with, and an element-wise comparison."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Convolution:
    """One convolution to test."""

    kind: str
    kernel_size: tuple[int, ...]
    step: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind}-{self.kernel_size}-{self.step}"

    @property
    def dim(self) -> int:
        return len(self.step)


SUBMANIFOLD = [
    Convolution("submanifold", size, (1,) * len(size))
    for size in [(3,), (1, 1), (3, 3), (5, 5), (1, 5), (1, 1, 1), (3, 3, 3), (5, 5, 5), (3, 1, 5)]
]
STEPS = [
    ((3,), (2,)),
    ((2, 2), (2, 2)), ((3, 3), (2, 2)), ((4, 4), (2, 2)), ((3, 3), (3, 3)), ((1, 2), (1, 2)), ((1, 1), (2, 2)),
    ((2, 2, 2), (2, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((4, 4, 4), (2, 2, 2)), ((3, 3, 3), (3, 3, 3)),
    ((1, 2, 2), (1, 2, 2)), ((2, 3, 4), (1, 2, 3)),
]  # fmt: skip
CONVOLUTIONS = SUBMANIFOLD + [Convolution(kind, *sizes) for kind in ("strided", "transposed") for sizes in STEPS]
BASIC = [
    Convolution("submanifold", (3, 3, 3), (1, 1, 1)),
    Convolution("strided", (2, 2, 2), (2, 2, 2)),
    Convolution("transposed", (2, 2, 2), (2, 2, 2)),
]
CHANNELS = list(itertools.product([1, 5, 33], repeat=2))


def assert_within(actual: Tensor, expected: Tensor, bound: Tensor, what: str) -> None:
    """Every element of `actual` lies within its own bound."""
    assert actual.shape == expected.shape, what
    excess = (actual.detach().cpu().double() - expected).abs() - bound
    assert bool((excess <= 0).all()), f"{what}: beyond the bound by {float(excess.max()):.3g}"

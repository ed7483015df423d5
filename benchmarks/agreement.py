"""Whether two contestants compute the same thing: a benchmark of something else is void."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["TOLERANCE", "Agreement", "compare_files"]

TOLERANCE = {"fp32": (1e-5, 1e-2), "fp16": (1e-2, 1e-1), "bf16": (5e-2, 0.4)}
"""Largest relative difference (root mean square) of the output and of any weight's gradient that is still rounding.

Gradients differ more: where rounding moves a feature over zero, its ReLU lets another gradient through (float32 and
float64 of the torch engine: 1e-6 on one case, 1e-3 on another). A wrong kernel slot or map gives differences near 1.
"""


@dataclass(frozen=True)
class Agreement:
    """Relative differences (root mean square) from the reference.

    Attributes:
        output: of the inference output.
        gradient: the largest of all convolution weights' gradients; None when there are none.
        worst: the weight it belongs to.
    """

    output: float
    gradient: float | None
    worst: str

    def output_is_good(self, precision: str) -> bool:
        """Whether rounding at `precision` explains the difference of the output; it never explains NaN."""
        return self.output <= TOLERANCE[precision][0]

    def gradients_are_good(self, precision: str) -> bool:
        """The same for the gradients, if there are any."""
        return self.gradient is None or self.gradient <= TOLERANCE[precision][1]

    def __str__(self) -> str:
        gradient = "" if self.gradient is None else f", gradient of {self.worst} by {self.gradient:.2g}"
        return f"output differs by {self.output:.2g}{gradient} (relative, root mean square)"


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.linalg.norm(found - expected) / max(float(np.linalg.norm(expected)), 1e-30))


def compare_files(path: Path, reference: Path) -> Agreement:
    """Agreement of what two workers wrote.

    Raises:
        KeyError: a gradient that the reference does not have.
    """
    with np.load(path) as found, np.load(reference) as expected:
        output = _difference(found["out"], expected["out"])
        gradients = {name: _difference(found[name], expected[name]) for name in found.files if name != "out"}
    worst = max(gradients, key=lambda name: gradients[name], default="")
    return Agreement(output, gradients.get(worst), worst.removeprefix("grad "))

"""A frame of a camera: as it is read, and on its way through the preprocessing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from lartpc_sparse.data.event import EventKey

__all__ = ["SIGNAL_CLASSES", "FrameCounts", "FrameImage"]

SIGNAL_CLASSES = ("background", "signal")
"""Values of the label `semantic` of frames."""


@dataclass(frozen=True)
class FrameCounts:
    """A frame as the camera gives it.

    Attributes:
        key: file and entry.
        name: in the file, `pic_run<run>_ev<event>`.
        counts: of every pixel, whole or floating numbers.
    """

    key: EventKey
    name: str
    counts: Shaped[np.ndarray, "H W"]


@dataclass(frozen=True)
class FrameImage:
    """A frame in the preprocessing.

    Attributes:
        key: file and entry.
        values: counts, or counts above the pedestal once that is subtracted.
        mean: pedestal of every pixel, counts.
        sigma: noise of every pixel, counts.
        bad: hot and dead pixels of the pedestal run.
        factor: pixels of the sensor along each axis of a pixel here.
        suppressed: pixels of value 0 are left out of the event.
    """

    key: EventKey
    values: Float32[np.ndarray, "H W"]
    mean: Float32[np.ndarray, "H W"]
    sigma: Float32[np.ndarray, "H W"]
    bad: Bool[np.ndarray, "H W"]
    factor: int = 1
    suppressed: bool = False

    def replace(self, **changes: Any) -> FrameImage:
        """A copy with some fields replaced."""
        return dataclasses.replace(self, **changes)

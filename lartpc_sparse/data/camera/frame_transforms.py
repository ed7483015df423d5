"""Preprocessing of frames: each step is a pure function of a frame, with scipy underneath.

The order is the user's: `bad_pixels` and `pedestal` come first in every chain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from pydantic import Field
from scipy import ndimage

from lartpc_sparse.data.camera.frame_image import FrameImage
from lartpc_sparse.schema import BadEventError, OneOf, PartConfig

__all__ = [
    "BadPixelsConfig",
    "FrameTransformConfig",
    "FrameTransformField",
    "MedianConfig",
    "NoiseReductionConfig",
    "RebinConfig",
    "SubtractPedestalConfig",
    "ThresholdConfig",
    "ZeroSuppressionConfig",
    "preprocess",
    "rebin_mean",
]


class FrameTransformConfig(PartConfig, ABC):
    """Base of the steps in `preprocess` of a reader of frames."""

    @abstractmethod
    def apply(self, frame: FrameImage) -> FrameImage:
        """The frame after this step.

        Raises:
            BadEventError: the frame does not fit the step.
        """


class BadPixelsConfig(FrameTransformConfig):
    """Hot and dead pixels are set to their pedestal, so that 0 is left without it, and to the median noise."""

    kind: Literal["bad_pixels"] = "bad_pixels"
    max_counts: float | None = Field(5000.0, gt=0, description="pixels of so many counts are bad; winter23: 5000")
    from_pedestal: bool = Field(True, description="and those that the pedestal run marks")

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        bad = frame.bad if self.from_pedestal else np.zeros_like(frame.bad)
        if self.max_counts is not None:
            bad = bad | (frame.values >= self.max_counts)
        if not bad.any():
            return frame
        values, sigma = frame.values.copy(), frame.sigma.copy()
        step = max(min(sigma.shape) // 64, 1)  # a median of all pixels would take longer than the other steps together
        values[bad], sigma[bad] = frame.mean[bad], np.median(frame.sigma[::step, ::step])
        return frame.replace(values=values, sigma=sigma)


class SubtractPedestalConfig(FrameTransformConfig):
    """Counts above the pedestal."""

    kind: Literal["pedestal"] = "pedestal"

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        return frame.replace(values=frame.values - frame.mean, mean=np.zeros_like(frame.mean))


class ZeroSuppressionConfig(FrameTransformConfig):
    """Pixels at or below nsigma times their own noise become 0."""

    kind: Literal["zero_suppression"] = "zero_suppression"
    nsigma: float = Field(0.2, ge=0, description="0.2 in the study of pixel selection; 1 to 2 in data")

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        kept = np.where(frame.values > np.float32(self.nsigma) * frame.sigma, frame.values, np.float32(0))
        return frame.replace(values=kept, suppressed=True)


class MedianConfig(FrameTransformConfig):
    """Median of a square of pixels: `scipy.ndimage.median_filter`, the border reflected. The noise stays as it is."""

    kind: Literal["median"] = "median"
    size: Literal[2, 3] = Field(
        2, description="side of the square; of 4 values the third smallest is taken, as in scipy"
    )

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        return frame.replace(values=ndimage.median_filter(frame.values, size=self.size))


class RebinConfig(FrameTransformConfig):
    """Mean of squares of pixels; the noise becomes that of the mean."""

    kind: Literal["rebin"] = "rebin"
    factor: int = Field(4, ge=2, description="side of the square; winter23: 4, 2304 to 576")

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        if any(size % self.factor for size in frame.values.shape):
            raise BadEventError(
                f"{frame.key}: {frame.values.shape} pixels cannot be rebinned by {self.factor}; choose a divisor"
            )
        noise = np.sqrt(rebin_mean(np.square(frame.sigma), self.factor)) / np.float32(self.factor)
        return frame.replace(
            values=rebin_mean(frame.values, self.factor),
            mean=rebin_mean(frame.mean, self.factor) if frame.mean.any() else np.zeros_like(noise),
            sigma=noise,
            bad=np.zeros(noise.shape, dtype=np.bool_),
            factor=frame.factor * self.factor,
        )


class NoiseReductionConfig(FrameTransformConfig):
    """The 8-neighbour filter of the classical chain, on one copy of the frame, not in place.

    With m the mean of the eight neighbours: a pixel further than `max_excess` from m becomes m; one with m below
    `min_average` becomes 0, and so does one with fewer than `min_pixels` pixels above 0 in its 3 x 3 square. Two pixels
    along the border become 0.
    """

    kind: Literal["noise_reduction"] = "noise_reduction"
    min_average: float = Field(1.2, ge=0, description="counts; 0.35 to 1.2 in the public configurations")
    max_excess: float = Field(10.0, gt=0, description="counts")
    min_pixels: int = Field(3, ge=0, le=9, description="pixels above 0 in the square, itself included")

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        values = frame.values.copy()
        values[:2] = values[-2:] = values[:, :2] = values[:, -2:] = 0
        # Uniform filters of scipy carry running sums; with so small a square plain shifts are exact and as fast.
        around = ndimage.convolve(values, _NEIGHBOURS, mode="constant") / np.float32(8)
        filled = ndimage.convolve((values != 0).astype(np.float32), np.ones((3, 3), np.float32), mode="constant")
        replaced = np.where(np.abs(values - around) > self.max_excess, around, values)
        kept = (around >= self.min_average) & (filled >= self.min_pixels)
        kept[:2] = kept[-2:] = kept[:, :2] = kept[:, -2:] = False
        return frame.replace(values=np.where(kept, replaced, np.float32(0)), suppressed=True)


class ThresholdConfig(FrameTransformConfig):
    """Pixels below a value become 0; or every pixel 0 or one value."""

    kind: Literal["threshold"] = "threshold"
    min_counts: float = Field(1.0, description="pixels at or below it become 0; seed 000: 1")
    to: float | None = Field(None, gt=0, description="value of the other pixels, 255 in seed 000; null: their own")

    def apply(self, frame: FrameImage) -> FrameImage:
        """See `FrameTransformConfig.apply`."""
        above = frame.values if self.to is None else np.full_like(frame.values, self.to)
        return frame.replace(
            values=np.where(frame.values > np.float32(self.min_counts), above, np.float32(0)), suppressed=True
        )


FrameTransformField = Annotated[
    FrameTransformConfig,
    OneOf(
        BadPixelsConfig,
        SubtractPedestalConfig,
        ZeroSuppressionConfig,
        MedianConfig,
        RebinConfig,
        NoiseReductionConfig,
        ThresholdConfig,
    ),
]

_NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=np.float32)


def preprocess(frame: FrameImage, steps: Sequence[FrameTransformConfig]) -> FrameImage:
    """The frame after all steps."""
    for step in steps:
        frame = step.apply(frame)
    return frame


def rebin_mean(values: Float32[np.ndarray, "H W"], factor: int) -> Float32[np.ndarray, "H2 W2"]:
    """Mean of squares of `factor` x `factor` pixels."""
    height, width = values.shape
    rows = np.add.reduce(values.reshape(height // factor, factor, width), axis=1)
    columns: Float32[np.ndarray, "H2 W2"] = rows[:, ::factor].copy()
    for shift in range(1, factor):
        columns += rows[:, shift::factor]
    columns *= np.float32(1.0 / (factor * factor))
    return columns

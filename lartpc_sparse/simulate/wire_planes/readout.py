"""From charge to pixel intensity: gain, noise and threshold."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64
from pydantic import Field

from lartpc_sparse.schema import Config
from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig, PlaneConfig
from lartpc_sparse.simulate.wire_planes.noise import excesses, pixel_normals
from lartpc_sparse.simulate.wire_planes.projection import PlaneImage
from lartpc_sparse.simulate.wire_planes.variation import VariationConfig

__all__ = ["Readout", "ReadoutConfig", "read_out"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ReadoutConfig(Config):
    """Pixel intensity units (PIU) and what is kept."""

    piu_per_electron: Positive = Field(
        default=0.0056, description="gain; chosen so that the pixels of the packaged sample's MIPs peak near 40 PIU"
    )
    threshold_piu: Positive = Field(default=10.0, description="lowest intensity of a pixel that is kept, PIU")


class Readout(NamedTuple):
    """The pixels that are kept, ascending.

    Attributes:
        pixel: wire * rows + row.
        intensity: PIU, noise included.
        signal_row: row of the pixel in the `PlaneImage`, -1 where no charge arrives.
    """

    pixel: Int64[np.ndarray, " M"]
    intensity: Float32[np.ndarray, " M"]
    signal_row: Int64[np.ndarray, " M"]


def read_out(
    config: ReadoutConfig,
    *,
    detector: DetectorConfig,
    plane: PlaneConfig,
    image: PlaneImage,
    variation: VariationConfig,
    noise_key: int,
) -> Readout:
    """Pixels with charge or noise above the threshold; columns beyond the last wire stay empty.

    Every pixel of the wires has gaussian noise; `noise.excesses` finds those of the empty ones that matter.

    Args:
        config: gain and threshold.
        detector: number of time pixels.
        plane: number of wires and noise.
        image: charge of the pixels.
        variation: factors on gain and noise.
        noise_key: the noise is a function of it.
    """
    intensity = image.electrons * (config.piu_per_electron * variation.gain)
    sigma = plane.noise_electrons * config.piu_per_electron * variation.noise
    empty, lifted = np.zeros(0, dtype=np.int64), np.zeros(0)
    if sigma > 0:  # without noise nothing is drawn
        intensity = intensity + sigma * pixel_normals(noise_key, image.pixel)
        num_pixels = plane.num_wires * detector.image_size[1]
        empty, normals = excesses(noise_key, num_pixels, config.threshold_piu / sigma)
        free = np.isin(empty, image.pixel, assume_unique=True, invert=True)
        empty, lifted = empty[free], sigma * normals[free]
    kept = np.flatnonzero(_stored(intensity) >= np.float32(config.threshold_piu))
    pixel = np.concatenate([image.pixel[kept], empty])
    order = np.argsort(pixel, kind="stable")
    values = _stored(np.concatenate([intensity[kept], lifted]))
    rows = np.concatenate([kept, np.full(len(empty), -1, dtype=np.int64)])
    return Readout(pixel[order], values[order], rows[order])


def _stored(values: Float[np.ndarray, " M"]) -> Float32[np.ndarray, " M"]:
    return values.astype(np.float32)

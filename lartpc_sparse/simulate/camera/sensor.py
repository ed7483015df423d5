"""The camera: a pedestal and a noise of its own for every pixel, hot and dead pixels, vignetting, whole counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt16
from pydantic import Field

from lartpc_sparse.schema import Config

__all__ = ["Sensor", "SensorConfig", "make_sensor", "read_out", "vignetting"]


class SensorConfig(Config):
    """Parameters of the camera. Those marked so are of the data sheet of the Hamamatsu ORCA-Fusion."""

    size: tuple[int, int] = Field((2304, 2304), description="rows and columns; data sheet")
    seed: int = Field(0, ge=0, description="of the pixels' properties, which all frames have in common")
    offset_counts: float = Field(100.0, gt=0, description="mean pedestal, counts; data sheet")
    offset_spread: float = Field(
        1.5, ge=0, description="standard deviation of the pedestal over pixels, counts; assumed"
    )
    noise_counts: float = Field(
        2.9,
        gt=0,
        description="median noise of a pixel, counts; 0.7 electrons rms at 0.24 electrons a count, data sheet",
    )
    noise_spread: float = Field(
        0.15, ge=0, description="standard deviation of the logarithm of the noise over pixels; assumed"
    )
    row_noise_counts: float = Field(
        0.02, ge=0, description="standard deviation of a common shift of a row in every frame, counts; assumed"
    )
    counts_per_electron: float = Field(4.2, gt=0, description="counts of one photoelectron; data sheet")
    hot_fraction: float = Field(2.0e-5, ge=0, lt=1, description="share of pixels that flicker; assumed")
    hot_counts: float = Field(300.0, ge=0, description="mean of the exponential excess of a hot pixel, counts; assumed")
    dead_fraction: float = Field(1.0e-5, ge=0, lt=1, description="share of pixels that always read 0; assumed")
    vignetting: float = Field(
        0.45, ge=0, lt=1, description="loss of light in the corners; the relative light falls as 1 - v r^2, assumed"
    )


class Sensor(NamedTuple):
    """Properties of all pixels."""

    offset: Float32[np.ndarray, "H W"]
    noise: Float32[np.ndarray, "H W"]
    hot: Bool[np.ndarray, "H W"]
    dead: Bool[np.ndarray, "H W"]


def make_sensor(config: SensorConfig) -> Sensor:
    """The pixels of a camera, a function of its configuration."""
    rng = np.random.default_rng([config.seed, int.from_bytes(b"sensor", "big")])
    offset = rng.standard_normal(config.size, dtype=np.float32) * config.offset_spread + config.offset_counts
    noise = np.exp(rng.standard_normal(config.size, dtype=np.float32) * config.noise_spread) * config.noise_counts
    lot = rng.random(config.size)
    dead = lot >= 1 - config.dead_fraction
    return Sensor(offset.astype(np.float32), noise.astype(np.float32), lot < config.hot_fraction, dead)


def vignetting(config: SensorConfig, rows: np.ndarray, columns: np.ndarray) -> Float32[np.ndarray, "..."]:
    """Relative light at pixels: 1 in the middle, 1 - v in the corners."""
    height, width = config.size
    y = (rows - (height - 1) / 2) / (height / 2)
    x = (columns - (width - 1) / 2) / (width / 2)
    result: Float32[np.ndarray, "..."] = (1 - config.vignetting * (x * x + y * y) / 2).astype(np.float32)
    return result


def read_out(
    sensor: Sensor, config: SensorConfig, light: Float32[np.ndarray, "H W"] | None, rng: np.random.Generator
) -> UInt16[np.ndarray, "H W"]:
    """One frame in whole counts.

    Args:
        sensor: the pixels.
        config: their parameters.
        light: expected counts above the pedestal, vignetting included; None: a pedestal frame.
        rng: random numbers.
    """
    counts = rng.standard_normal(config.size, dtype=np.float32)
    counts *= sensor.noise
    counts += sensor.offset
    if config.row_noise_counts:
        counts += (rng.standard_normal(config.size[0], dtype=np.float32) * config.row_noise_counts)[:, None]
    if light is not None:
        lit = np.nonzero(light)
        counts[lit] += rng.poisson(light[lit] / config.counts_per_electron) * np.float32(config.counts_per_electron)
    counts[sensor.hot] += rng.exponential(config.hot_counts, int(sensor.hot.sum())).astype(np.float32)
    counts[sensor.dead] = 0
    np.rint(counts, out=counts)
    return np.clip(counts, 0, 65535).astype(np.uint16)

"""From ionisation to light on the sensor: drift, diffusion, gain, and the spot of an amplified electron."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64
from pydantic import Field
from scipy import ndimage

from lartpc_sparse.schema import Config

__all__ = ["LightConfig", "Spot", "render"]


class LightConfig(Config):
    """Gas, drift and amplification. The values with a source: the public CYGNO digitisation and its run scripts."""

    pixel_mm: float = Field(0.152, gt=0, description="what a pixel sees, mm; 350 mm over 2304 pixels, as LIME")
    drift_mm: tuple[float, float] = Field(
        (20.0, 480.0), description="distance of the recoil from the GEMs, drawn evenly, mm; drift of 50 cm as LIME"
    )
    diffusion_mm2_cm: float = Field(
        0.01232, ge=0, description="transverse diffusion, mm2 per cm of drift; public CYGNO digitisation"
    )
    spot_mm2: float = Field(
        0.1225, ge=0, description="variance of the light spot of one electron after the GEMs, mm2; the same source"
    )
    ionisation_kev: float = Field(0.0462, gt=0, description="energy of an electron-ion pair, keV; the same source")
    counts_per_kev: float = Field(
        1000.0, gt=0, description="light that falls on the middle of the sensor, counts per visible keV; assumed"
    )
    gain_shape: float = Field(
        1.0, gt=0, description="shape of the gamma distribution of an electron's gain; 1: exponential, same source"
    )


class Spot(NamedTuple):
    """Light on a window of the sensor.

    Attributes:
        row, column: of the window's first pixel; may lie outside the sensor.
        counts: expected light of every pixel.
    """

    row: int
    column: int
    counts: Float32[np.ndarray, "H W"]


def render(
    points_mm: Float64[np.ndarray, "S 3"],
    energy_kev: Float64[np.ndarray, " S"],
    at_pixel: tuple[float, float],
    config: LightConfig,
    rng: np.random.Generator,
) -> Spot | None:
    """The light of one recoil; None when not one electron arrives.

    Args:
        points_mm: where it ionises, relative to where it begins; the third axis is the drift.
        energy_kev: ionising energy at each point.
        at_pixel: row and column on the sensor where it begins.
        config: parameters.
        rng: random numbers.
    """
    electrons = rng.poisson(np.maximum(energy_kev, 0) / config.ionisation_kev)
    number = int(electrons.sum())
    if number == 0:
        return None
    drift_cm = rng.uniform(*config.drift_mm) / 10 + np.repeat(points_mm[:, 2], electrons) / 10
    spread_mm = np.sqrt(config.diffusion_mm2_cm * np.maximum(drift_cm, 0))
    place = np.repeat(points_mm[:, :2], electrons, axis=0) + spread_mm[:, None] * rng.normal(size=(number, 2))
    pixel = place / config.pixel_mm + np.array(at_pixel)
    gain = rng.gamma(config.gain_shape, 1 / config.gain_shape, size=number)
    sigma = np.sqrt(config.spot_mm2) / config.pixel_mm
    margin = int(np.ceil(4 * sigma)) + 1
    first = np.floor(pixel.min(axis=0)).astype(int) - margin
    shape = np.floor(pixel.max(axis=0)).astype(int) + margin + 1 - first
    image = np.zeros(shape)
    rows, columns = (np.floor(pixel).astype(int) - first).T
    np.add.at(image, (rows, columns), gain * config.counts_per_kev * config.ionisation_kev)
    blurred = ndimage.gaussian_filter(image, sigma, mode="constant").astype(np.float32)
    return Spot(int(first[0]), int(first[1]), blurred)

"""What happens on the way to the wires: attenuation, diffusion, and a smooth distortion of the field."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from lartpc_sparse.schema import Config
from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig
from lartpc_sparse.simulate.wire_planes.geometry import drift_distance, x_of_drift

__all__ = ["DriftConfig", "diffusion_mm", "distort", "surviving"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DriftConfig(Config):
    """Losses and spread of the drifting electrons."""

    lifetime_ms: Positive = Field(default=10.0, description="lifetime of the electrons, ms")
    longitudinal_cm2_s: NotNegative = Field(
        default=3.74, description="diffusion along the drift (MicroBooNE, arXiv:2104.06551), cm2/s"
    )
    transverse_cm2_s: NotNegative = Field(
        default=5.7,
        description="diffusion across the drift: the longitudinal one over 1 + d ln mobility / d ln field, which is "
        "0.65 at 0.273 kV/cm with the mobility of arXiv:1508.07059, cm2/s",
    )


def surviving(config: DriftConfig, time_us: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Share of the electrons that reach the wires after a drift time, exp(-t / lifetime)."""
    return np.exp(-time_us / (1000 * config.lifetime_ms))


def diffusion_mm(coefficient_cm2_s: float, time_us: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Standard deviation sqrt(2 D t), mm."""
    return 10 * np.sqrt(2 * coefficient_cm2_s * 1e-6 * time_us)


def distort(
    detector: DetectorConfig, position_mm: Float[np.ndarray, "N 3"], amplitude_mm: tuple[float, float, float]
) -> Float[np.ndarray, "N 3"]:
    """Positions as they seem behind a distorted field, in the manner of space charge (assumed map, not measured).

    With s the drift distance over the drift length, and h, l from -1 to 1 along height and length: the drift distance
    grows by A_x 4 s (1 - s) (1 - h^2) (1 - l^2), which is 0 at anode, cathode and walls; y and z are pulled inwards by
    A_y s^2 h and A_z s^2 l, most at the cathode. The map is one to one for |A_x| < drift length / 4,
    |A_y| < height / 2 and |A_z| < length / 2.
    """
    if not any(amplitude_mm):
        return position_mm
    length, height, depth = detector.size_mm
    drift = drift_distance(detector, position_mm[:, 0])
    s, h = drift / length, 2 * position_mm[:, 1] / height
    along = 2 * position_mm[:, 2] / depth - 1
    drift = drift + amplitude_mm[0] * 4 * s * (1 - s) * (1 - h**2) * (1 - along**2)
    y = position_mm[:, 1] - amplitude_mm[1] * s**2 * h
    z = position_mm[:, 2] - amplitude_mm[2] * s**2 * along
    return np.stack([x_of_drift(detector, drift), y, z], axis=1)

"""Where the voxel image of an event stands in the detector."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, FiniteFloat, model_validator

from lartpc_sparse.schema import Config
from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig

__all__ = ["PlacementConfig", "corner_mm"]


class PlacementConfig(Config):
    """Position of the image's first corner."""

    where: Literal["random", "centre", "fixed"] = Field(
        default="random",
        description="random: anywhere inside, new for every event; centre: in the middle; fixed: at corner_mm",
    )
    corner_mm: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        default=None, description="x, y and z of the corner of voxel (0, 0, 0) for `fixed`, mm"
    )

    @model_validator(mode="after")
    def _corner_for_fixed(self) -> PlacementConfig:
        if (self.where == "fixed") != (self.corner_mm is not None):
            raise ValueError("corner_mm goes with where: fixed, and only with it")
        return self


def corner_mm(
    config: PlacementConfig, detector: DetectorConfig, image_mm: Float[np.ndarray, " 3"], rng: np.random.Generator
) -> Float[np.ndarray, " 3"]:
    """The corner of voxel (0, 0, 0); an axis along which the image is longer than the detector is centred.

    Args:
        config: where.
        detector: its drift volume.
        image_mm: edges of the image.
        rng: three uniform numbers are drawn from it for `random`.
    """
    if config.corner_mm is not None:
        return np.array(config.corner_mm, dtype=np.float64)
    low = np.array([0.0, -detector.size_mm[1] / 2, 0.0])
    room = np.array(detector.size_mm) - image_mm
    share = rng.random(3) if config.where == "random" else np.full(3, 0.5)
    corner: Float[np.ndarray, " 3"] = low + np.where(room > 0, share, 0.5) * room
    return corner

"""Positions of the particle table as positions in the image of a wire plane."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32, Shaped

from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig, PlaneConfig
from lartpc_sparse.simulate.wire_planes.drift import distort
from lartpc_sparse.simulate.wire_planes.geometry import time_coordinate, wire_coordinate

__all__ = ["plane_positions"]


def plane_positions(
    particles: Mapping[str, Shaped[np.ndarray, "P ..."]],
    *,
    detector: DetectorConfig,
    plane: PlaneConfig,
    corner_mm: Float[np.ndarray, " 3"],
    voxel_mm: float,
    distortion_mm: tuple[float, float, float],
) -> dict[str, Float32[np.ndarray, " P"]]:
    """Columns `plane_vertex_x`, `plane_vertex_y` (wire and time coordinate in pixels) of `vertex_x`, `_y`, `_z`.

    So too `plane_interaction_x`, ... of `interaction_x`, ...; nothing for a table without these columns. NaN for rows
    that belong to no interaction, which have no position. As the charge, they are behind the distorted field.

    Args:
        particles: the table of the 3D event; positions in voxels, voxel i reaches from i to i + 1.
        detector: its planes and drift.
        plane: of the image.
        corner_mm: where the corner of voxel (0, 0, 0) is in the detector.
        voxel_mm: edge of a voxel.
        distortion_mm: amplitude of the distortion, see `distort`.
    """
    columns: dict[str, Float32[np.ndarray, " P"]] = {}
    for name in ("vertex", "interaction"):
        if all(f"{name}_{axis}" in particles for axis in "xyz"):
            voxels = np.stack([particles[f"{name}_{axis}"].astype(np.float64) for axis in "xyz"], axis=1)
            if "interaction" in particles:
                voxels = np.where(particles["interaction"][:, None] >= 0, voxels, np.nan)
            place = distort(detector, corner_mm + voxels * voxel_mm, distortion_mm)
            columns[f"plane_{name}_x"] = wire_coordinate(detector, plane, place[:, 1], place[:, 2]).astype(np.float32)
            columns[f"plane_{name}_y"] = time_coordinate(detector, place[:, 0]).astype(np.float32)
    return columns

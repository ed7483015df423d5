"""Where a point of the detector is on a wire plane, and back; pure functions, exact.

A wire coordinate w counts wires across a plane: pixel column i is the stripe i <= w < i + 1 around wire i, in its
middle. A time coordinate t counts time pixels: row j is j <= t < j + 1.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig, PlaneConfig

__all__ = [
    "active",
    "drift_distance",
    "time_coordinate",
    "wire_coordinate",
    "x_of_drift",
    "x_of_time",
    "yz_of_wires",
]

Mm = Float[np.ndarray, " N"]


def wire_coordinate(detector: DetectorConfig, plane: PlaneConfig, y: Mm, z: Mm) -> Float[np.ndarray, " N"]:
    """Wire coordinate of points, y and z in mm; it does not depend on x.

    A wire at angle a to the vertical runs along (y, z) = (cos a, sin a); across the wires one counts
    p = z cos a - y sin a, and w = (p - p of the plane's middle) / pitch + num_wires / 2.
    """
    cos, sin = _direction(plane)
    across: Mm = ((z - detector.size_mm[2] / 2) * cos - y * sin) / plane.pitch_mm + plane.num_wires / 2
    return across


def yz_of_wires(
    detector: DetectorConfig, first: PlaneConfig, wire: Mm, second: PlaneConfig, other: Mm
) -> tuple[Mm, Mm]:
    """Height y and length z in mm where wire coordinates of two planes cross.

    Raises:
        ValueError: the wires of the planes are parallel.
    """
    matrix = np.array([[-sin, cos] for cos, sin in (_direction(first), _direction(second))])
    if abs(np.linalg.det(matrix)) < 1e-9:
        raise ValueError(f"wires of the planes {first.name} and {second.name} are parallel and do not cross")
    across = np.stack(
        [
            (wire - first.num_wires / 2) * first.pitch_mm,
            (other - second.num_wires / 2) * second.pitch_mm,
        ]
    )
    y, z = np.linalg.solve(matrix, across)
    return y, z + detector.size_mm[2] / 2


def drift_distance(detector: DetectorConfig, x: Mm) -> Mm:
    """Distance from the anode, mm."""
    return x if detector.anode == "low_x" else detector.size_mm[0] - x


def x_of_drift(detector: DetectorConfig, drift_mm: Mm) -> Mm:
    """Inverse of `drift_distance`, which is its own inverse."""
    return drift_distance(detector, drift_mm)


def time_coordinate(detector: DetectorConfig, x: Mm) -> Float[np.ndarray, " N"]:
    """Time coordinate of charge that starts at x mm at the time of the trigger."""
    return detector.first_row + drift_distance(detector, x) / detector.time_pixel_mm


def x_of_time(detector: DetectorConfig, time: Float[np.ndarray, " N"]) -> Mm:
    """Inverse of `time_coordinate`."""
    return x_of_drift(detector, (time - detector.first_row) * detector.time_pixel_mm)


def active(detector: DetectorConfig, position_mm: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, " N"]:
    """Which positions are inside the drift volume."""
    low = np.array([0.0, -detector.size_mm[1] / 2, 0.0])
    beyond = (position_mm < low) | (position_mm > low + detector.size_mm)
    return np.asarray(~beyond.any(axis=1))


def _direction(plane: PlaneConfig) -> tuple[float, float]:
    angle = np.deg2rad(plane.angle_deg)
    return float(np.cos(angle)), float(np.sin(angle))

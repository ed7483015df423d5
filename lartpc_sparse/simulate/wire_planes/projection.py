"""The image of one plane: which deposit gives how much charge to which pixel, and the sum over deposits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from lartpc_sparse.simulate.wire_planes.detector import DetectorConfig, PlaneConfig
from lartpc_sparse.simulate.wire_planes.footprint import Footprint, footprint
from lartpc_sparse.simulate.wire_planes.geometry import time_coordinate, wire_coordinate

__all__ = ["Charges", "PlaneImage", "Shares", "overlay", "time_footprint", "wire_footprint"]


@dataclass(frozen=True)
class Charges:
    """Electrons that arrive at the wires, from N deposits, each a gaussian smeared over a cube.

    Attributes:
        position_mm: where they were set free, after distortion.
        electrons: how many arrive.
        longitudinal_mm: standard deviation of the diffusion along the drift.
        transverse_mm: the same across the drift.
        edge_mm: edge of the cube, 0 for points.
    """

    position_mm: Float[np.ndarray, "N 3"]
    electrons: Float[np.ndarray, " N"]
    longitudinal_mm: Float[np.ndarray, " N"]
    transverse_mm: Float[np.ndarray, " N"]
    edge_mm: float


@dataclass(frozen=True)
class Shares:
    """What single deposits give to single pixels.

    Attributes:
        pixel: row of the pixel in the list that was asked for.
        deposit: row of the deposit.
        electrons: charge.
    """

    pixel: Int64[np.ndarray, " C"]
    deposit: Int64[np.ndarray, " C"]
    electrons: Float[np.ndarray, " C"]


@dataclass(frozen=True)
class PlaneImage:
    """Charge of one plane's pixels; M pixels are reached by any.

    Attributes:
        pixel: the pixels, wire * rows + row, ascending.
        electrons: their charge.
    """

    pixel: Int64[np.ndarray, " M"]
    electrons: Float[np.ndarray, " M"]
    _cell: Int64[np.ndarray, " M"]
    """Cell of each pixel in the smallest rectangle that holds all shares."""
    _share_cell: Int64[np.ndarray, "N K"]
    _share: Float[np.ndarray, "N K"]

    def shares(self, chosen: Bool[np.ndarray, " M"]) -> Shares:
        """Shares of the chosen pixels; `Shares.pixel` numbers the chosen ones from 0."""
        if not len(self.pixel):
            return Shares(self.pixel, self.pixel, self.electrons)
        wanted = np.zeros(int(self._share_cell[:, -1].max()) + 1, dtype=np.bool_)
        wanted[self._cell[chosen]] = True
        use = np.flatnonzero(wanted[self._share_cell.reshape(-1)])
        row = np.empty(len(wanted), dtype=np.int64)  # set where it is read
        row[self._cell[chosen]] = np.arange(np.count_nonzero(chosen))
        return Shares(row[self._share_cell.reshape(-1)[use]], use // self._share.shape[1], self._share.reshape(-1)[use])


def wire_footprint(detector: DetectorConfig, plane: PlaneConfig, charges: Charges, response_mm: float) -> Footprint:
    """Spread over the wires of a plane.

    A cube of edge a has, across wires at an angle, the profile of two boxes of widths a |cos| and a |sin|.
    """
    angle, edge = np.deg2rad(plane.angle_deg), charges.edge_mm / plane.pitch_mm
    spread = footprint(
        wire_coordinate(detector, plane, charges.position_mm[:, 1], charges.position_mm[:, 2]),
        np.hypot(charges.transverse_mm, response_mm) / plane.pitch_mm,
        (edge * abs(float(np.cos(angle))), edge * abs(float(np.sin(angle)))),
    )
    return _inside(spread, plane.num_wires)


def time_footprint(detector: DetectorConfig, charges: Charges, response_mm: float) -> Footprint:
    """Spread over time pixels."""
    spread = footprint(
        time_coordinate(detector, charges.position_mm[:, 0]),
        np.hypot(charges.longitudinal_mm, response_mm) / detector.time_pixel_mm,
        (charges.edge_mm / detector.time_pixel_mm,),
    )
    return _inside(spread, detector.image_size[1])


def _inside(spread: Footprint, size: int) -> Footprint:
    """The footprint with nothing outside 0..size - 1."""
    index = spread.first[:, None] + np.arange(spread.weights.shape[1])
    return Footprint(spread.first, np.where((index >= 0) & (index < size), spread.weights, 0.0))


def overlay(wires: Footprint, times: Footprint, electrons: Float[np.ndarray, " N"], num_rows: int) -> PlaneImage:
    """Charge of every pixel: the deposits' footprints, added up.

    Args:
        wires: spread over the wires.
        times: spread over the time pixels.
        electrons: charge of each deposit.
        num_rows: time pixels of an image.
    """
    if not len(electrons):
        nothing, none = np.zeros(0, dtype=np.int64), np.zeros(0)
        return PlaneImage(nothing, none, nothing, nothing.reshape(0, 0), none.reshape(0, 0))
    low_wire, low_row = int(wires.first.min()), int(times.first.min())
    height = int(times.first.max()) - low_row + times.weights.shape[1]
    corner = (wires.first - low_wire) * height + times.first - low_row
    cell_offset = np.arange(wires.weights.shape[1])[:, None] * height + np.arange(times.weights.shape[1])
    cell = corner[:, None] + cell_offset.reshape(-1)
    charge = electrons[:, None] * wires.weights
    share = (charge[:, :, None] * times.weights[:, None, :]).reshape(cell.shape)
    total = np.bincount(cell.reshape(-1), share.reshape(-1))
    reached = np.flatnonzero(total > 0)
    pixel = (reached // height + low_wire) * num_rows + reached % height + low_row
    return PlaneImage(pixel, total[reached], reached, cell, share)

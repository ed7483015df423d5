"""Ways to fill a gap without a network, to compare one with: a straight line with linear charge, and a reflection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from lartpc_sparse.cluster.gaps.bridges import BridgesConfig, find_bridges
from lartpc_sparse.cluster.gaps.exits import Exits, find_exits
from lartpc_sparse.cluster.gaps.tubes import voxels_of_line
from lartpc_sparse.data.regions import box_of_voxel

__all__ = ["Fill", "crossing_ends", "line_fill", "own_ends_fill", "reflection_fill"]

READOUT_MEV = 0.05
"""A straight line clips many voxels; those with less than this are left out, as a readout threshold would, MeV."""


@dataclass(frozen=True)
class Fill:
    """Voxels that are put into gaps; none twice.

    Attributes:
        coords: voxel index.
        energy: MeV.
    """

    coords: Int32[np.ndarray, "V D"]
    energy: Float32[np.ndarray, " V"]

    @classmethod
    def nothing(cls, dim: int) -> Fill:
        """No voxels."""
        return cls(np.empty((0, dim), dtype=np.int32), np.empty(0, dtype=np.float32))

    @classmethod
    def summed(cls, coords: Int32[np.ndarray, "P D"], energy: Float64[np.ndarray, " P"]) -> Fill:
        """From voxels that may be there more than once: their energies are added."""
        found, index = np.unique(coords, axis=0, return_inverse=True)
        total = np.bincount(index.reshape(-1), energy, len(found)).astype(np.float32)
        return cls(found.astype(np.int32), total)


def line_fill(
    exits: Exits,
    first: Int64[np.ndarray, " B"],
    second: Int64[np.ndarray, " B"],
    boxes: Int64[np.ndarray, "R 2 D"],
    threshold_mev: float = READOUT_MEV,
) -> Fill:
    """Straight lines between pairs of exits; the charge per length goes linearly from one's to the other's.

    Args:
        exits: of the gaps.
        first: rows of the pairs' first exits.
        second: of their second ones.
        boxes: the gaps; nothing is put outside.
        threshold_mev: voxels of a line with less are left out, MeV.
    """
    dim = boxes.shape[2]
    coords, energies = [np.empty((0, dim), dtype=np.int32)], [np.empty(0)]
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        voxels, length = voxels_of_line(exits.place[a], exits.place[b])
        inside = box_of_voxel(voxels, boxes) >= 0
        share = (np.cumsum(length) - length / 2) / max(float(length.sum()), 1e-9)
        rate = (1 - share) * exits.energy_per_voxel[a] + share * exits.energy_per_voxel[b]
        energy = rate * length
        inside &= energy >= threshold_mev
        coords.append(voxels[inside])
        energies.append(energy[inside])
    return Fill.summed(np.concatenate(coords), np.concatenate(energies))


def own_ends_fill(
    coords: Int32[np.ndarray, "N D"],
    energy: Float32[np.ndarray, " N"],
    boxes: Int64[np.ndarray, "R 2 D"],
    image_size: tuple[int, ...],
    config: BridgesConfig | None = None,
) -> Fill:
    """Lines between the exits that face each other best, each exit used once: the baseline without truth.

    Args:
        coords: voxels outside of the gaps.
        energy: of each, MeV.
        boxes: the gaps.
        image_size: of the image.
        config: which exits face each other.
    """
    exits = find_exits(coords, energy, boxes, image_size)
    pairs = find_bridges(exits, config or BridgesConfig(), each=1)
    return line_fill(exits, pairs.first, pairs.second, boxes)


def crossing_ends(exits: Exits) -> tuple[int, int] | None:
    """The two exits, on different faces, with the most voxels behind them; None: there are no two.

    For the exits of one particle at one gap: its ends.
    """
    order = np.lexsort((np.arange(len(exits)), -exits.support))
    for row in order[1:].tolist():
        if exits.face[row] != exits.face[order[0]]:
            return int(order[0]), row
    return None


def reflection_fill(
    coords: Int32[np.ndarray, "N D"],
    energy: Float32[np.ndarray, " N"],
    boxes: Int64[np.ndarray, "R 2 D"],
    image_size: tuple[int, ...],
) -> Fill:
    """Every place takes the energy of its mirror image in the nearest face that it is mirrored in; half the width each.

    Args:
        coords: voxels outside of the gaps.
        energy: of each, MeV.
        boxes: the gaps; the narrowest axis of each is mirrored.
        image_size: of the image.
    """
    places, energies = [np.empty((0, len(image_size)), dtype=np.int32)], [np.empty(0)]
    for number, box in enumerate(boxes):
        axis = int(np.argmin(box[1] - box[0]))
        width = int(box[1, axis] - box[0, axis])
        for side, depth in ((0, (width + 1) // 2), (1, width // 2)):
            column = coords[:, axis].astype(np.int64)
            layer = box[0, axis] - 1 - column if side == 0 else column - box[1, axis]
            rows = np.flatnonzero((layer >= 0) & (layer < depth))
            moved = coords[rows].copy()
            moved[:, axis] = box[0, axis] + layer[rows] if side == 0 else box[1, axis] - 1 - layer[rows]
            own = box_of_voxel(moved, boxes) == number
            places.append(moved[own])
            energies.append(energy[rows][own].astype(np.float64))
    return Fill.summed(np.concatenate(places), np.concatenate(energies))

"""Candidate voxels of a gap: every place in it, or those that its two sides point at.

The dense grid is that of LArDRIP. The grown set follows A. Wilkinson's larnd_infill, which reflects active voxels into
the gap and smears them; lines between exits that face each other and the straight extrapolation of each exit are this
project's addition. Its size grows with the charge around a gap, not with the size of the detector.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32, Int64
from pydantic import Field
from scipy.spatial import cKDTree

from lartpc_sparse.cluster.gaps.bridges import Bridges, BridgesConfig, find_bridges
from lartpc_sparse.cluster.gaps.exits import Exits, find_exits, rim_rows
from lartpc_sparse.cluster.gaps.tubes import dilated, sample_lines, unique_inside
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.schema import PartConfig, UserError

__all__ = ["Candidates", "CandidatesConfig", "DenseConfig", "GrownConfig"]


@dataclass(frozen=True)
class Candidates:
    """Places that may be active, and what geometry alone says of them.

    Attributes:
        coords: voxel index, no place twice, all inside the gaps.
        likelihood: that it is active, 0..1.
        rate: energy per length of the nearest line, MeV a voxel edge; 0 where there is none.
    """

    coords: Int32[np.ndarray, "G D"]
    likelihood: Float32[np.ndarray, " G"]
    rate: Float32[np.ndarray, " G"]


class CandidatesConfig(PartConfig, ABC):
    """Base of the ways to choose candidates."""

    @abstractmethod
    def positions(
        self,
        coords: Int32[np.ndarray, "N D"],
        energy: Float32[np.ndarray, " N"],
        boxes: Int64[np.ndarray, "R 2 D"],
        image_size: tuple[int, ...],
    ) -> Candidates:
        """The candidates of an event.

        Args:
            coords: voxels outside of the boxes.
            energy: of each.
            boxes: the gaps.
            image_size: of the image.

        Raises:
            UserError: there would be too many.
        """


class DenseConfig(CandidatesConfig):
    """Every place in every gap."""

    kind: Literal["dense"] = "dense"
    max_candidates: int = Field(
        2_000_000, ge=1, description="an event with more is refused, before it fills the memory; use grown there"
    )

    def positions(
        self,
        coords: Int32[np.ndarray, "N D"],
        energy: Float32[np.ndarray, " N"],
        boxes: Int64[np.ndarray, "R 2 D"],
        image_size: tuple[int, ...],
    ) -> Candidates:
        """See `CandidatesConfig.positions`; nothing is known of the likelihood, it is 0."""
        del coords, energy
        total = int((boxes[:, 1] - boxes[:, 0]).prod(axis=1).sum())
        if total > self.max_candidates:
            raise UserError(
                f"dense candidates: the gaps hold {total} voxels, more than max_candidates {self.max_candidates}; "
                "use candidates: {kind: grown}"
            )
        dim = len(image_size)
        blocks = [np.indices(tuple(high - low)).reshape(dim, -1).T + low for low, high in boxes]
        coords_all = np.concatenate([np.empty((0, dim), dtype=np.int64), *blocks]).astype(np.int32)
        found = unique_inside(coords_all, image_size)
        nothing = np.zeros(len(found), dtype=np.float32)
        return Candidates(found, nothing, nothing)


class GrownConfig(CandidatesConfig):
    """Places that the voxels on both sides of a gap point at."""

    kind: Literal["grown"] = "grown"
    bridges: BridgesConfig | None = Field(
        BridgesConfig(max_angle_deg=40.0, max_offset=3.0),
        description="lines between exits that may be one track. null: none",
    )
    bridges_per_exit: int = Field(2, ge=1, description="so many of the best lines of an exit are tried")
    bridge_radius: float = Field(1.8, ge=0, description="smearing around such a line, voxels")
    extrapolate: bool = Field(True, description="continue the direction of an exit straight into the gap")
    radius: float = Field(1.0, ge=0, description="smearing around a continuation at its start, voxels")
    opening: float = Field(0.05, ge=0, description="growth of that smearing per voxel of length")
    max_length: float = Field(48.0, gt=0, description="longest continuation, voxels")
    length_per_support: float = Field(
        2.0, gt=0, description="longest continuation per voxel behind the exit, voxels: few voxels tell little"
    )
    sure_angle_deg: float = Field(
        10.0, ge=0, description="an exit with a line to another at most this bent is not continued, degrees"
    )
    max_spread: float = Field(
        0.2, gt=0, description="an exit whose voxels are wider than this share of their length is not continued"
    )
    min_support: int = Field(6, ge=1, description="an exit with fewer voxels behind it is not continued")
    reflect: bool = Field(True, description="mirror the voxels behind each face into the gap")
    reflect_depth: int | None = Field(None, ge=1, description="layers that are mirrored; null: half of the gap's width")
    reflect_radius: float = Field(1.0, ge=0, description="smearing of mirrored voxels, voxels")
    depth: int = Field(12, ge=2, description="layers behind a face that give the direction of an exit")

    def positions(
        self,
        coords: Int32[np.ndarray, "N D"],
        energy: Float32[np.ndarray, " N"],
        boxes: Int64[np.ndarray, "R 2 D"],
        image_size: tuple[int, ...],
    ) -> Candidates:
        """See `CandidatesConfig.positions`.

        The likelihood at distance d from a line between two exits that bend by a degrees is exp(-d^2 / 2) times
        exp(-(a / 20)^2 / 2), with a taken in three classes; from a continuation t voxels long half of
        exp(-d^2 / (2 (1 + opening t)^2)); the highest counts, and elsewhere it is 0.
        """
        dim = len(image_size)
        exits = find_exits(coords, energy, boxes, image_size, self.depth)
        pairs = self._pairs(exits)
        bridges, bend, bridge_rate = _lines(exits, pairs)
        rays, along, ray_rate = self._rays(exits, boxes, pairs)
        parts = [np.empty((0, dim), dtype=np.int32), dilated(_rounded(bridges), self.bridge_radius)]
        radii = np.floor(2 * (self.radius + self.opening * along)) / 2
        parts += [dilated(_rounded(rays[radii == radius]), float(radius)) for radius in np.unique(radii)]
        if self.reflect:
            parts.append(dilated(self._mirrored(coords, boxes, image_size), self.reflect_radius))
        found = unique_inside(np.concatenate(parts), image_size)
        found = found[box_of_voxel(found, boxes) >= 0]
        return _judged(found, _classes(bridges, bend, bridge_rate), (rays, 1 + self.opening * along, ray_rate))

    def _pairs(self, exits: Exits) -> Bridges:
        if self.bridges is None:
            nothing = np.empty(0, dtype=np.int64)
            return Bridges(nothing, nothing, np.empty(0))
        return find_bridges(exits, self.bridges, each=self.bridges_per_exit)

    def _rays(
        self, exits: Exits, boxes: Int64[np.ndarray, "R 2 D"], pairs: Bridges
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points of the continuations, how far along them, and their energy; cut where they leave their gap."""
        sure = pairs.angle_deg <= self.sure_angle_deg
        unsure = np.ones(len(exits), dtype=np.bool_)
        unsure[pairs.first[sure]] = unsure[pairs.second[sure]] = False
        straight = (exits.support >= self.min_support) & (exits.spread <= self.max_spread)
        rows = np.flatnonzero(straight & unsure)
        if not self.extrapolate or not len(rows):
            return np.empty((0, exits.place.shape[1])), np.empty(0), np.empty(0)
        place, direction = exits.place[rows], exits.direction[rows]
        low, high = boxes[exits.box[rows], 0] - 0.5, boxes[exits.box[rows], 1] - 0.5
        with np.errstate(divide="ignore", invalid="ignore"):
            leave = np.where(direction > 0, high - place, low - place) / direction
        leave = np.where(np.isfinite(leave) & (leave > 0), leave, np.inf).min(axis=1)
        longest = np.minimum(self.max_length, self.length_per_support * exits.support[rows])
        points, line, along = sample_lines(place, direction, np.minimum(leave, longest))
        return points, along, exits.energy_per_voxel[rows][line]

    def _mirrored(
        self, coords: Int32[np.ndarray, "N D"], boxes: Int64[np.ndarray, "R 2 D"], image_size: tuple[int, ...]
    ) -> Int32[np.ndarray, "M D"]:
        parts = [np.empty((0, len(image_size)), dtype=np.int32)]
        for box in boxes:
            for axis in range(len(image_size)):
                width = int(box[1, axis] - box[0, axis])
                if width == image_size[axis]:
                    continue
                depth = (width + 1) // 2 if self.reflect_depth is None else min(self.reflect_depth, width)
                for side in (0, 1):
                    rows, layer = rim_rows(coords, box, axis, side, depth)
                    moved = coords[rows].copy()
                    moved[:, axis] = box[0, axis] + layer if side == 0 else box[1, axis] - 1 - layer
                    parts.append(moved)
        return np.unique(np.concatenate(parts), axis=0)


def _lines(exits: Exits, pairs: Bridges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the lines between paired exits, the angle that each line is bent by (degrees), and its energy there.

    A line runs through the centres of both exits, and is as long as their places are apart.
    """
    a, b = pairs.first, pairs.second
    line = exits.centre[b] - exits.centre[a]
    distance = np.linalg.norm(line, axis=1)
    chord = exits.place[b] - exits.place[a]
    same = np.einsum("pd,pd->p", line, chord) > 0
    line = np.where(same[:, None], line / np.maximum(distance, 1e-9)[:, None], chord)
    line /= np.maximum(np.linalg.norm(line, axis=1), 1e-9)[:, None]
    middle = np.where(same[:, None], exits.centre[a], exits.place[a])
    start, stop = (np.einsum("pd,pd->p", exits.place[ends] - middle, line) for ends in (a, b))
    points, row, along = sample_lines(middle + start[:, None] * line, line, stop - start)
    share = along / np.maximum(stop - start, 1e-9)[row]
    rate = (1 - share) * exits.energy_per_voxel[a][row] + share * exits.energy_per_voxel[b][row]
    return points, pairs.angle_deg[row], rate


def _classes(points: np.ndarray, bend: np.ndarray, rate: np.ndarray) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Points of lines in three classes of their bend, the factor on the likelihood of each, and the energies."""
    edges = (0.0, 8.0, 20.0, 180.0)
    found = []
    for low, high in itertools.pairwise(edges):
        own = (bend >= low) & (bend < high)
        if own.any():
            found.append((points[own], float(np.exp(-0.5 * (bend[own].mean() / 20) ** 2)), rate[own]))
    return found


def _rounded(points: np.ndarray) -> Int32[np.ndarray, "M D"]:
    """The different voxels of some points."""
    return np.unique(np.floor(points + 0.5).astype(np.int32), axis=0)


def _judged(
    found: Int32[np.ndarray, "G D"],
    bridges: list[tuple[np.ndarray, float, np.ndarray]],
    rays: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Candidates:
    likely, energy = np.zeros(len(found)), np.zeros(len(found))
    lines = [(points, np.ones(len(points)), factor, rate) for points, factor, rate in bridges]
    lines.append((rays[0], rays[1], 0.5, rays[2]))
    for points, width, factor, rate in lines:
        if not len(found) or not len(points):
            continue
        nearest = cKDTree(points).query(found, distance_upper_bound=8.0)
        distance, row = np.asarray(nearest[0]), np.asarray(nearest[1])
        near = np.flatnonzero(np.isfinite(distance))
        here = factor * np.exp(-0.5 * (distance[near] / width[row[near]]) ** 2)
        better = here > likely[near]
        likely[near[better]] = here[better]
        energy[near[better]] = rate[row[near[better]]]
    return Candidates(found, likely.astype(np.float32), energy.astype(np.float32))

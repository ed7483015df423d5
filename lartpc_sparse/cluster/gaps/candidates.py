"""Candidate voxels of a gap: every place in it, or those that its two sides point at.

The dense grid is that of LArDRIP. The grown set follows A. Wilkinson's larnd_infill, which reflects active voxels into
the gap and smears them; lines between exits that face each other and the straight extrapolation of each exit are this
project's addition. Its size grows with the charge around a gap, not with the size of the detector.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
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

__all__ = ["CandidatesConfig", "DenseConfig", "GrownConfig"]


class CandidatesConfig(PartConfig, ABC):
    """Base of the ways to choose candidates."""

    @abstractmethod
    def positions(
        self,
        coords: Int32[np.ndarray, "N D"],
        energy: Float32[np.ndarray, " N"],
        boxes: Int64[np.ndarray, "R 2 D"],
        image_size: tuple[int, ...],
    ) -> tuple[Int32[np.ndarray, "G D"], Float32[np.ndarray, " G"]]:
        """Candidates, no place twice, all inside the boxes; and how likely each is by geometry alone, 0..1.

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
    ) -> tuple[Int32[np.ndarray, "G D"], Float32[np.ndarray, " G"]]:
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
        return found, np.zeros(len(found), dtype=np.float32)


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
    ) -> tuple[Int32[np.ndarray, "G D"], Float32[np.ndarray, " G"]]:
        """See `CandidatesConfig.positions`.

        The likelihood at distance d from a line between two exits that bend by a degrees is exp(-d^2 / 2) times
        exp(-(a / 20)^2 / 2), with a taken in three classes; from a continuation t voxels long half of
        exp(-d^2 / (2 (1 + opening t)^2)); the highest counts, and elsewhere it is 0.
        """
        dim = len(image_size)
        exits = find_exits(coords, energy, boxes, image_size, self.depth)
        pairs = self._pairs(exits)
        bridges, bend = _lines(exits, pairs)
        rays, along = self._rays(exits, boxes, pairs)
        parts = [np.empty((0, dim), dtype=np.int32), dilated(_rounded(bridges), self.bridge_radius)]
        radii = np.floor(2 * (self.radius + self.opening * along)) / 2
        parts += [dilated(_rounded(rays[radii == radius]), float(radius)) for radius in np.unique(radii)]
        if self.reflect:
            parts.append(dilated(self._mirrored(coords, boxes, image_size), self.reflect_radius))
        found = unique_inside(np.concatenate(parts), image_size)
        found = found[box_of_voxel(found, boxes) >= 0]
        return found, _likelihood(found, _classes(bridges, bend), rays, 1 + self.opening * along)

    def _pairs(self, exits: Exits) -> Bridges:
        if self.bridges is None:
            nothing = np.empty(0, dtype=np.int64)
            return Bridges(nothing, nothing, np.empty(0))
        return find_bridges(exits, self.bridges, each=self.bridges_per_exit)

    def _rays(self, exits: Exits, boxes: Int64[np.ndarray, "R 2 D"], pairs: Bridges) -> tuple[np.ndarray, np.ndarray]:
        """Points of the continuations, and how far along them; cut where they leave their gap."""
        sure = pairs.angle_deg <= self.sure_angle_deg
        unsure = np.ones(len(exits), dtype=np.bool_)
        unsure[pairs.first[sure]] = unsure[pairs.second[sure]] = False
        straight = (exits.support >= self.min_support) & (exits.spread <= self.max_spread)
        rows = np.flatnonzero(straight & unsure)
        if not self.extrapolate or not len(rows):
            return np.empty((0, exits.place.shape[1])), np.empty(0)
        place, direction = exits.place[rows], exits.direction[rows]
        low, high = boxes[exits.box[rows], 0] - 0.5, boxes[exits.box[rows], 1] - 0.5
        with np.errstate(divide="ignore", invalid="ignore"):
            leave = np.where(direction > 0, high - place, low - place) / direction
        leave = np.where(np.isfinite(leave) & (leave > 0), leave, np.inf).min(axis=1)
        longest = np.minimum(self.max_length, self.length_per_support * exits.support[rows])
        points, _, along = sample_lines(place, direction, np.minimum(leave, longest))
        return points, along

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


def _lines(exits: Exits, pairs: Bridges) -> tuple[np.ndarray, np.ndarray]:
    """Points of the lines between paired exits, and the angle that each line is bent by, degrees."""
    line = exits.place[pairs.second] - exits.place[pairs.first]
    length = np.linalg.norm(line, axis=1)
    points, row, _ = sample_lines(exits.place[pairs.first], line / np.maximum(length, 1e-9)[:, None], length)
    return points, pairs.angle_deg[row]


def _classes(points: np.ndarray, bend: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Points of lines in three classes of their bend, and the factor on the likelihood of each."""
    edges = (0.0, 8.0, 20.0, 180.0)
    found = []
    for low, high in itertools.pairwise(edges):
        own = (bend >= low) & (bend < high)
        if own.any():
            found.append((points[own], float(np.exp(-0.5 * (bend[own].mean() / 20) ** 2))))
    return found


def _rounded(points: np.ndarray) -> Int32[np.ndarray, "M D"]:
    """The different voxels of some points."""
    return np.unique(np.floor(points + 0.5).astype(np.int32), axis=0)


def _likelihood(
    found: Int32[np.ndarray, "G D"],
    bridges: list[tuple[np.ndarray, float]],
    rays: np.ndarray,
    width: np.ndarray,
) -> Float32[np.ndarray, " G"]:
    likely = np.zeros(len(found))
    if len(found) and len(rays):
        nearest = cKDTree(rays).query(found, distance_upper_bound=8.0)
        distance, row = np.asarray(nearest[0]), np.asarray(nearest[1])
        near = np.isfinite(distance)
        likely[near] = 0.5 * np.exp(-0.5 * (distance[near] / width[row[near]]) ** 2)
    for points, factor in bridges if len(found) else ():
        distance = np.asarray(cKDTree(points).query(found, distance_upper_bound=8.0)[0])
        likely = np.maximum(likely, factor * np.exp(-0.5 * distance**2))
    return likely.astype(np.float32)

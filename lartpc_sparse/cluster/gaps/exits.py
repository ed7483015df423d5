"""Where charge goes into a gap: groups of voxels that touch one of its faces, with the direction they point in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from scipy.spatial import cKDTree

from lartpc_sparse.cluster.connected import connected_components

__all__ = ["Exits", "find_exits", "rim_rows"]

TOUCHING_LAYERS = 2
"""Layers next to a face whose voxels count as touching: one may be missing by the readout threshold."""
CENTRE_RADIUS = 4.0
"""Voxels."""
CENTRE_MEV = 0.5
"""So that a delta ray or a fluctuation does not pull the centre to its side. In MeV, a little below what a voxel of
3 mm holds of a track; in images of another unit whose numbers are larger the voxels simply count alike."""


@dataclass(frozen=True)
class Exits:
    """Places where something enters a gap, E of them in D axes; positions are voxel indices (middles).

    Attributes:
        box: number of the gap.
        face: 2 axis + side of the face; side 0 is the low one.
        place: mean of the touching voxels that lie closest to the face, weighted with energy.
        centre: mean of the voxels within `CENTRE_RADIUS` of the place, weighted with energy, at most `CENTRE_MEV`.
            A line through two centres runs nearer to a track than through the two places: more voxels tell of it.
        direction: unit vector into the gap, first principal axis of the voxels behind the place.
        support: number of voxels that the direction was found from.
        energy_per_voxel: energy behind the place per length along the direction, MeV a voxel edge.
        spread: standard deviation of the voxels behind it along the second axis over that along the first; 1 where
            there are too few to tell.
    """

    box: Int64[np.ndarray, " E"]
    face: Int64[np.ndarray, " E"]
    place: Float64[np.ndarray, "E D"]
    centre: Float64[np.ndarray, "E D"]
    direction: Float64[np.ndarray, "E D"]
    support: Int64[np.ndarray, " E"]
    energy_per_voxel: Float64[np.ndarray, " E"]
    spread: Float64[np.ndarray, " E"]

    def __len__(self) -> int:
        return len(self.box)


def find_exits(
    coords: Int32[np.ndarray, "N D"],
    energy: Float32[np.ndarray, " N"],
    boxes: Int64[np.ndarray, "R 2 D"],
    image_size: tuple[int, ...],
    depth: int = 12,
) -> Exits:
    """The exits of all gaps.

    Args:
        coords: voxels outside of the gaps.
        energy: of each.
        boxes: the gaps.
        image_size: a face on the border of the image has nothing behind it.
        depth: how far behind a face voxels tell a direction, in voxels.
    """
    dim = len(image_size)
    parts: list[tuple[int, int, np.ndarray, np.ndarray, np.ndarray, int, float, float]] = []
    for number, box in enumerate(boxes):
        for axis in range(dim):
            for side in (0, 1):
                if (side == 0 and box[0, axis] == 0) or (side == 1 and box[1, axis] >= image_size[axis]):
                    continue
                rows, layer = rim_rows(coords, box, axis, side, depth)
                found = _exits_of_face(coords[rows], energy[rows], layer, axis=axis, side=side, depth=depth)
                parts += [(number, 2 * axis + side, *one) for one in found]
    return Exits(
        box=np.array([part[0] for part in parts], dtype=np.int64),
        face=np.array([part[1] for part in parts], dtype=np.int64),
        place=np.array([part[2] for part in parts], dtype=np.float64).reshape(len(parts), dim),
        centre=np.array([part[3] for part in parts], dtype=np.float64).reshape(len(parts), dim),
        direction=np.array([part[4] for part in parts], dtype=np.float64).reshape(len(parts), dim),
        support=np.array([part[5] for part in parts], dtype=np.int64),
        energy_per_voxel=np.array([part[6] for part in parts], dtype=np.float64),
        spread=np.array([part[7] for part in parts], dtype=np.float64),
    )


def rim_rows(
    coords: Int32[np.ndarray, "N D"], box: Int64[np.ndarray, "2 D"], axis: int, side: int, depth: int
) -> tuple[Int64[np.ndarray, " M"], Int64[np.ndarray, " M"]]:
    """Voxels behind one face of a box, at most `depth` layers away and as far beside it; and their layer, from 0."""
    column = coords[:, axis].astype(np.int64)
    layer = box[0, axis] - 1 - column if side == 0 else column - box[1, axis]
    near = (layer >= 0) & (layer < depth)
    for other in range(coords.shape[1]):
        if other != axis:
            near &= (coords[:, other] >= box[0, other] - depth) & (coords[:, other] < box[1, other] + depth)
    rows = np.flatnonzero(near)
    return rows, layer[rows]


def _exits_of_face(
    coords: Int32[np.ndarray, "M D"],
    energy: Float32[np.ndarray, " M"],
    layer: Int64[np.ndarray, " M"],
    *,
    axis: int,
    side: int,
    depth: int,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, int, float, float]]:
    touching = np.flatnonzero(layer < TOUCHING_LAYERS)
    if not len(touching):
        return []
    group = connected_components(coords[touching])
    number = int(group.max()) + 1
    nearest = np.full(number, depth, dtype=np.int64)
    np.minimum.at(nearest, group, layer[touching])
    first = layer[touching] == nearest[group]
    weight = np.maximum(energy[touching].astype(np.float64), 1e-6) * first
    total = np.bincount(group, weight, number)
    place = np.stack(
        [np.bincount(group, weight * column, number) / total for column in coords[touching].T.astype(np.float64)],
        axis=1,
    )
    behind = connected_components(coords)
    owner = np.zeros(number, dtype=np.int64)
    owner[group] = behind[touching]
    inwards = np.zeros(coords.shape[1])
    inwards[axis] = 1.0 if side == 0 else -1.0
    found = []
    near = cKDTree(coords).query_ball_point(place, float(depth))
    for one in range(number):
        members = np.array(near[one], dtype=np.int64)
        members = members[behind[members] == owner[one]]
        points, held = coords[members].astype(np.float64), energy[members].astype(np.float64)
        direction, rate, spread = _direction(points, held, inwards, place[one])
        found.append((place[one], _centre(points, held, place[one]), direction, len(members), rate, spread))
    return found


def _centre(
    points: Float64[np.ndarray, "K D"], energy: Float64[np.ndarray, " K"], place: Float64[np.ndarray, " D"]
) -> Float64[np.ndarray, " D"]:
    near = np.linalg.norm(points - place, axis=1) <= CENTRE_RADIUS
    weight = np.clip(energy[near], 1e-6, CENTRE_MEV)
    return weight @ points[near] / weight.sum() if near.any() else place


def _direction(
    points: Float64[np.ndarray, "K D"],
    energy: Float64[np.ndarray, " K"],
    inwards: Float64[np.ndarray, " D"],
    place: Float64[np.ndarray, " D"],
) -> tuple[Float64[np.ndarray, " D"], float, float]:
    """Principal axis of the points, pointing into the gap; the energy per length along it; and the spread."""
    total = float(energy.sum())
    if len(points) < 2:
        return inwards, total, 1.0
    centred = points - points.mean(axis=0)
    squares, axes = np.linalg.eigh(centred.T @ centred)
    direction = axes[:, -1]
    spread = float(np.sqrt(max(squares[-2], 0.0) / max(squares[-1], 1e-12)))
    # where the axis lies along the face, what is behind the place says which way is in
    ahead = float(direction @ (place - points.mean(axis=0))) if abs(direction @ inwards) < 0.1 else direction @ inwards
    direction = -direction if ahead < 0 else direction
    along = points @ direction
    return direction, total / max(float(np.ptp(along)) + 1.0, 1.0), spread

"""What is filled into the gaps of an event, and the true tracks that cross them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy.spatial import cKDTree

from lartpc_sparse.cluster.gaps import Exits, Fill, crossing_ends, find_exits, line_fill
from lartpc_sparse.data.prediction_file import Prediction
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.data.vertices import VERTEX_TABLE
from lartpc_sparse.metrics.gap_crossings import Crossing, profile_of, score_crossing

__all__ = ["GapTruth", "find_crossings", "owners"]

_NO_BORDER = 1 << 30
"""In place of the image's size: beyond the image there are no voxels that could enter a gap."""
_TRUTH_LINE = "line_true_ends"


@dataclass(frozen=True)
class GapTruth:
    """The voxels of an event, in and outside of the gaps.

    Attributes:
        boxes: the gaps.
        inside: rows of the event's voxels in gaps.
        gap: of each of them.
        outside: rows of the others.
        semantic: class of every voxel of the event, -1 none.
        instance: particle of every voxel, -1 none.
    """

    boxes: Int64[np.ndarray, "R 2 D"]
    inside: Int64[np.ndarray, " I"]
    gap: Int64[np.ndarray, " I"]
    outside: Int64[np.ndarray, " O"]
    semantic: Int64[np.ndarray, " M"]
    instance: Int64[np.ndarray, " M"]

    @classmethod
    def of(cls, prediction: Prediction, gap: Int32[np.ndarray, " M"], boxes: Int64[np.ndarray, "R 2 D"]) -> GapTruth:
        """From the predictions file: the gap of each voxel, -1 for none."""
        inside = np.flatnonzero(gap >= 0)
        none = np.full(len(prediction), -1)
        return cls(
            boxes=boxes,
            inside=inside,
            gap=gap[inside].astype(np.int64),
            outside=np.flatnonzero(gap < 0),
            semantic=prediction.truth.get("semantic", none).astype(np.int64),
            instance=prediction.truth.get("instance", none).astype(np.int64),
        )


def owners(
    filled: Int32[np.ndarray, "F D"],
    filled_gap: Int64[np.ndarray, " F"],
    true: Int32[np.ndarray, "T D"],
    true_gap: Int64[np.ndarray, " T"],
) -> Int64[np.ndarray, " F"]:
    """For each filled voxel the row of the nearest true voxel of the same gap, itself if it is one; -1: there is none.

    So a voxel that should not be there counts against the particle that it lies next to, however far that is.
    """
    found = np.full(len(filled), -1, dtype=np.int64)
    for gap in np.unique(filled_gap):
        rows, own = np.flatnonzero(filled_gap == gap), np.flatnonzero(true_gap == gap)
        if len(own):
            found[rows] = own[cKDTree(true[own]).query(filled[rows])[1]]
    return found


def find_crossings(
    prediction: Prediction,
    truth: GapTruth,
    fills: Mapping[str, Fill],
    tracks: Mapping[int, str],
    *,
    earth_mover: bool,
    min_voxels: int,
) -> list[Crossing]:
    """True tracks that cross a gap, scored for each way of filling and for a line between their true ends.

    Args:
        prediction: the event.
        truth: of its voxels.
        fills: what was put into its gaps, by way of filling.
        tracks: number and name of the classes that are tracks.
        earth_mover: compute that distance too.
        min_voxels: that a track must have on each of the two sides.
    """
    coords, energy = prediction.coords, prediction.energy
    true = coords[truth.inside]
    instance = truth.instance[truth.inside]
    owned = {
        name: owners(fill.coords, box_of_voxel(fill.coords, truth.boxes), true, truth.gap)
        for name, fill in fills.items()
    }
    is_track = np.isin(truth.semantic[truth.inside], list(tracks)) & (instance >= 0)
    found = []
    for gap, particle in np.unique(np.stack([truth.gap[is_track], instance[is_track]], axis=1), axis=0).tolist():
        own = is_track & (truth.gap == gap) & (instance == particle)
        outside = truth.outside[truth.instance[truth.outside] == particle]
        box = truth.boxes[gap : gap + 1]
        exits = find_exits(coords[outside], energy[outside], box, (_NO_BORDER,) * coords.shape[1])
        pair = crossing_ends(exits)
        if pair is None or not _on_both_sides(coords[outside], exits, pair, box[0], min_voxels):
            continue
        rows = np.flatnonzero(own)
        ends = (exits.place[pair[0]], exits.place[pair[1]])
        line = line_fill(exits, np.array([pair[0]]), np.array([pair[1]]), box)
        parts = {name: _part(fill, np.isin(owned[name], rows)) for name, fill in fills.items()} | {_TRUTH_LINE: line}
        true_energy = energy[truth.inside][rows]
        width, angle = _geometry(exits, pair, box[0])
        kinds = truth.semantic[truth.inside][rows]
        found.append(
            Crossing(
                gap=gap,
                width=width,
                angle_deg=angle,
                vertex_distance=_vertex_distance(prediction, (ends[0] + ends[1]) / 2),
                kind=tracks[int(np.bincount(kinds).argmax())],
                length=float(np.linalg.norm(ends[1] - ends[0])),
                voxels=len(rows),
                charge=float(true_energy.sum(dtype=np.float64)),
                profile=profile_of(true[rows], true_energy, ends),
                scores={
                    name: score_crossing(
                        true[rows], true_energy, part.coords, part.energy, ends, earth_mover=earth_mover
                    )
                    for name, part in parts.items()
                },
            )
        )
    return found


def _part(fill: Fill, rows: np.ndarray) -> Fill:
    return Fill(fill.coords[rows], fill.energy[rows])


def _on_both_sides(
    coords: Int32[np.ndarray, "N D"],
    exits: Exits,
    pair: tuple[int, int],
    box: Int64[np.ndarray, "2 D"],
    min_voxels: int,
) -> bool:
    for row in pair:
        axis, side = divmod(int(exits.face[row]), 2)
        beyond = coords[:, axis] < box[0, axis] if side == 0 else coords[:, axis] >= box[1, axis]
        if int(beyond.sum()) < min_voxels:
            return False
    return True


def _geometry(exits: Exits, pair: tuple[int, int], box: Int64[np.ndarray, "2 D"]) -> tuple[float, float]:
    """Width of the gap along the normal of the face of entry, and angle of the crossing to it."""
    axis = int(exits.face[pair[0]]) // 2
    line = exits.place[pair[1]] - exits.place[pair[0]]
    cosine = abs(float(line[axis])) / max(float(np.linalg.norm(line)), 1e-9)
    return float(box[1, axis] - box[0, axis]), float(np.degrees(np.arccos(min(cosine, 1.0))))


def _vertex_distance(prediction: Prediction, middle: Float64[np.ndarray, " D"]) -> float:
    vertices = prediction.tables.get(VERTEX_TABLE, {}).get("position")
    if vertices is None or not len(vertices):
        return float("nan")
    # a vertex is in voxels from the corner of the image, a voxel index is its middle less one half
    return float(np.linalg.norm(vertices - 0.5 - middle, axis=1).min())

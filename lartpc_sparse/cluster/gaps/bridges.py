"""Which exits of a gap face each other: the two ends of one track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pydantic import Field

from lartpc_sparse.cluster.gaps.exits import Exits
from lartpc_sparse.schema import Config

__all__ = ["Bridges", "BridgesConfig", "find_bridges"]


class BridgesConfig(Config):
    """When two exits are taken for one track."""

    max_angle_deg: float = Field(25.0, gt=0, le=90, description="between a direction and the line between the exits")
    max_offset: float = Field(2.0, ge=0, description="an exit may also lie this far beside the other's line, voxels")
    max_beside: float | None = Field(
        12.0,
        gt=0,
        description="and no exit farther than this, however long the line: an angle fine for a short line leads "
        "a long one to anything. null: the angle alone decides",
    )
    max_length: float = Field(500.0, gt=0, description="longest line between two exits, voxels")
    min_support: int = Field(4, ge=2, description="an exit with fewer voxels behind it has no direction")
    grazing: float = Field(
        0.1,
        ge=0,
        le=1,
        description="an exit whose direction has a smaller cosine to the normal of its face may go on either way: a "
        "track that flat has all voxels around the place in one layer, and none tells which way it comes from",
    )


@dataclass(frozen=True)
class Bridges:
    """Pairs of exits, the best first.

    Attributes:
        first: rows of `Exits`.
        second: rows of `Exits`.
        angle_deg: the larger of the two angles between direction and connecting line, degrees.
    """

    first: Int64[np.ndarray, " B"]
    second: Int64[np.ndarray, " B"]
    angle_deg: Float64[np.ndarray, " B"]

    def __len__(self) -> int:
        return len(self.first)


def find_bridges(exits: Exits, config: BridgesConfig, *, each: int) -> Bridges:
    """Pairs of exits of one gap, on different faces, that continue each other.

    Args:
        exits: of all gaps.
        config: the limits.
        each: an exit is used in so many pairs at most, its best ones.
    """
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for box in np.unique(exits.box):
        rows = np.flatnonzero((exits.box == box) & (exits.support >= config.min_support))
        i, j = np.triu_indices(len(rows), k=1)
        pairs.append(np.stack([rows[i], rows[j]], axis=1))
    a, b = np.concatenate(pairs).T
    line = exits.place[b] - exits.place[a]
    length = np.linalg.norm(line, axis=1)
    fits = (length > 0) & (length <= config.max_length) & (exits.face[a] != exits.face[b])
    a, b, line, length = a[fits], b[fits], line[fits], length[fits]
    angles, fits = np.zeros(len(a)), np.ones(len(a), dtype=np.bool_)
    for ends, direction in ((a, exits.direction[a]), (b, -exits.direction[b])):
        turned = _flat(exits, ends, config.grazing) & (np.einsum("pd,pd->p", line, direction) < 0)
        along = np.where(turned[:, None], -direction, direction)
        ahead = np.einsum("pd,pd->p", line, along)
        beside = np.linalg.norm(line - ahead[:, None] * along, axis=1)
        angle = np.degrees(np.arctan2(beside, ahead))
        fits &= (ahead > 0) & ((angle <= config.max_angle_deg) | (beside <= config.max_offset))
        fits &= beside <= (np.inf if config.max_beside is None else config.max_beside)
        angles = np.maximum(angles, angle)
    order = np.lexsort((b, a, np.round(angles, 6)))
    order = order[fits[order]]
    used = np.zeros(len(exits), dtype=np.int64)
    kept = []
    for row in order.tolist():
        if used[a[row]] < each and used[b[row]] < each:
            used[[a[row], b[row]]] += 1
            kept.append(row)
    order = np.array(kept, dtype=np.int64)
    return Bridges(a[order], b[order], angles[order])


def _flat(exits: Exits, rows: Int64[np.ndarray, " P"], cosine: float) -> Bool[np.ndarray, " P"]:
    flat: Bool[np.ndarray, " P"] = np.abs(exits.direction[rows, exits.face[rows] // 2]) < cosine
    return flat

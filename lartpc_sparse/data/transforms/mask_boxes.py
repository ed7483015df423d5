"""Remove boxes of voxels and offer every position inside them as a candidate: the input of inpainting.

Source: LArDRIP fills the missing region of a track with a dense grid of candidate voxels with an initial
value, and a sparse network decides which of them are real and what energy they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32, Int64, Shaped
from pydantic import Field, FiniteFloat, PositiveInt

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.data.transforms.base import TransformConfig, per_axis, require_finite_energy, require_unmasked

__all__ = [
    "MaskBoxes",
    "MaskBoxesConfig",
    "add_empty_mask",
    "blank_like",
    "grid_positions",
    "mask_event",
    "mask_regions",
    "place_boxes",
    "rows_of",
]

PLACEMENT_TRIES = 10


class MaskBoxesConfig(TransformConfig):
    """Boxes around random active voxels are emptied and filled with candidate voxels."""

    kind: Literal["mask_boxes"] = "mask_boxes"
    size: PositiveInt | tuple[PositiveInt, ...] = Field(
        default=12, description="box size in voxels, one number or one for each axis"
    )
    count: PositiveInt = Field(
        default=2, description="boxes an event; one that finds no free place after ten tries is left out"
    )
    seed_value: FiniteFloat | Literal["random"] = Field(
        default=0.0,
        description="every input feature of a candidate: a number, or random for uniform in [-1, 1]",
    )

    def build(self) -> MaskBoxes:
        """The transform."""
        return MaskBoxes(size=self.size, count=self.count, seed_value=self.seed_value)


@dataclass(frozen=True)
class MaskBoxes:
    """Mask `count` boxes that do not overlap; see `mask_regions` for the result.

    Must stand after the transforms that read or change energies (log_energy, energy_threshold, scale_energy);
    those refuse a masked event.

    Attributes:
        size: voxels along each axis.
        count: boxes an event.
        seed_value: input features of the candidates.
    """

    size: int | tuple[int, ...] = 12
    count: int = 2
    seed_value: float | Literal["random"] = 0.0

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with boxes masked; an empty event gets the columns only.

        Raises:
            UserError: the event is masked already, or `size` does not fit the number of axes.
            BadEventError: an energy, the target of a candidate, is not finite.
        """
        require_unmasked(event, "mask_boxes")
        require_finite_energy(event)
        size = per_axis(self.size, event.dim, "mask_boxes.size")
        boxes = place_boxes(event.coords, size, self.count, event.image_size, rng)
        n_candidates = int((boxes[:, 1] - boxes[:, 0]).prod(axis=1).sum())
        shape = (n_candidates, event.feats.shape[1])
        if self.seed_value == "random":
            feats = rng.uniform(-1.0, 1.0, size=shape).astype(np.float32)
        else:
            feats = np.full(shape, self.seed_value, dtype=np.float32)
        return mask_regions(event, boxes, feats)


def place_boxes(
    coords: Int32[np.ndarray, "N D"],
    size: tuple[int, ...],
    count: int,
    image_size: tuple[int, ...],
    rng: np.random.Generator,
) -> Int64[np.ndarray, "K 2 D"]:
    """At most `count` boxes that do not overlap, each around a random voxel and holding it.

    A box is centred on the voxel, moved by at most a quarter of its size along each axis, and cut at the
    border of the image, so that it may be smaller than `size` there.

    Returns:
        First position inside and first position beyond each box, along each axis.
    """
    dim = len(image_size)
    boxes = np.empty((0, 2, dim), dtype=np.int64)
    if len(coords) == 0:
        return boxes
    extent = np.array(size, dtype=np.int64)
    reach = extent // 4
    for _ in range(count):
        for _ in range(PLACEMENT_TRIES):
            centre = coords[rng.integers(len(coords))] + rng.integers(-reach, reach, endpoint=True)
            low = centre - extent // 2
            box = np.clip([low, low + extent], 0, image_size)
            overlaps = ((boxes[:, 0] < box[1]) & (box[0] < boxes[:, 1])).all(axis=1)
            if not overlaps.any():
                boxes = np.concatenate([boxes, box[None]])
                break
    return boxes


def grid_positions(
    boxes: Int64[np.ndarray, "K 2 D"],
) -> tuple[Int32[np.ndarray, "G D"], Int64[np.ndarray, " G"]]:
    """Every position inside the boxes, box after box, the last axis fastest; and the box of each."""
    dim = boxes.shape[2]
    blocks = [np.empty((0, dim), dtype=np.int64)]
    for low, high in boxes:
        blocks.append(np.indices(tuple(high - low)).reshape(dim, -1).T + low)
    sizes = np.array([len(block) for block in blocks[1:]], dtype=np.int64)
    gap = np.repeat(np.arange(len(boxes), dtype=np.int64), sizes)
    return np.concatenate(blocks).astype(np.int32), gap


def mask_regions(event: Event, boxes: Int64[np.ndarray, "K 2 D"], candidate_feats: Float32[np.ndarray, "G C"]) -> Event:
    """`mask_event` with every position in the boxes as a candidate, in the order of `grid_positions`."""
    return mask_event(event, boxes, grid_positions(boxes)[0], candidate_feats)


def mask_event(
    event: Event,
    boxes: Int64[np.ndarray, "K 2 D"],
    candidates: Int32[np.ndarray, "G D"],
    candidate_feats: Float32[np.ndarray, "G C"],
    crossing: Int64[np.ndarray, " G"] | None = None,
) -> Event:
    """The event without the voxels in `boxes`, followed by the candidates, all of them in the boxes.

    Labels added: `candidate` bool; `active` bool, a candidate that was a voxel; `target_energy` float32, the
    energy of that voxel, else 0; `gap` int64, number of the first box that holds it, -1 outside; `crossing` int64,
    what the charge is summed over, by default the gap. Candidates have energy 0 and in the other labels -1 (integers),
    0 (floats) or False. `inverse_index` of the removed voxels is -1, and `gaps` are the boxes.

    Raises:
        ValueError: a label column is unsigned and cannot hold -1.
    """
    inside = box_of_voxel(event.coords, boxes) >= 0
    row = rows_of(event.coords[inside], candidates)
    hit = row >= 0
    target = np.bincount(row[hit], weights=event.energy[inside][hit], minlength=len(candidates)).astype(np.float32)
    active = np.zeros(len(candidates), dtype=np.bool_)
    active[row[hit]] = True

    kept = add_empty_mask(event.select(~inside))
    gap = box_of_voxel(candidates, boxes)
    columns: dict[str, Shaped[np.ndarray, " G"]] = {
        "candidate": np.ones(len(candidates), dtype=np.bool_),
        "active": active,
        "target_energy": target,
        "gap": gap,
        "crossing": gap if crossing is None else crossing,
    }
    return kept.replace(
        coords=np.concatenate([kept.coords, candidates]),
        energy=np.concatenate([kept.energy, np.zeros(len(candidates), dtype=np.float32)]),
        feats=np.concatenate([kept.feats, candidate_feats]),
        labels={
            name: np.concatenate([column, columns.get(name, blank_like(name, column, len(candidates)))])
            for name, column in kept.labels.items()
        },
        gaps=boxes,
    )


def add_empty_mask(event: Event, hints: tuple[str, ...] = ()) -> Event:
    """The event with the columns of `mask_regions` and nothing masked, to share a batch with masked events.

    `hints` are float columns that the masked events have besides.
    """
    n = len(event)
    empty: Mapping[str, Shaped[np.ndarray, " N"]] = {
        "candidate": np.zeros(n, dtype=np.bool_),
        "active": np.zeros(n, dtype=np.bool_),
        "target_energy": np.zeros(n, dtype=np.float32),
        "gap": np.full(n, -1, dtype=np.int64),
        "crossing": np.full(n, -1, dtype=np.int64),
        **{name: np.zeros(n, dtype=np.float32) for name in hints},
    }
    return event.with_labels(**empty)


def rows_of(wanted: Int32[np.ndarray, "N D"], coords: Int32[np.ndarray, "G D"]) -> Int64[np.ndarray, " N"]:
    """Row of each wanted voxel in `coords`, which has no voxel twice; -1 where it is not there."""
    both = np.concatenate([coords, wanted])
    if not len(both):
        return np.empty(0, dtype=np.int64)
    low = both.min(axis=0).astype(np.int64)
    span = tuple((both.max(axis=0) - low + 1).tolist())
    key = np.ravel_multi_index(tuple((both - low).T), span)
    known = key[: len(coords)]
    order = np.argsort(known)
    place = np.searchsorted(known[order], key[len(coords) :])
    row = np.append(order, -1)[place]
    found: Int64[np.ndarray, " N"] = np.where(np.append(known, -1)[row] == key[len(coords) :], row, -1)
    return found


def blank_like(name: str, column: Shaped[np.ndarray, " N"], count: int) -> Shaped[np.ndarray, " G"]:
    """`count` values of the column's type that mean: nothing is known."""
    if column.dtype.kind == "u":
        raise ValueError(f"label {name} is {column.dtype}, which has no -1; use a signed integer type")
    return np.full((count, *column.shape[1:]), -1 if column.dtype.kind == "i" else 0, dtype=column.dtype)

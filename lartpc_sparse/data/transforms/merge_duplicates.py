"""Join rows that share a voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int32, Int64
from pydantic import Field, field_validator

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig
from lartpc_sparse.data.transforms.energy import features_equal_to_energy
from lartpc_sparse.schema import UserError

__all__ = ["MergeDuplicates", "MergeDuplicatesConfig", "class_ranks", "merge_duplicates"]


class MergeDuplicatesConfig(TransformConfig):
    """Rows of one voxel become one row: energy summed, labels of the row with the highest energy."""

    kind: Literal["merge_duplicates"] = "merge_duplicates"
    priority: tuple[str, ...] = Field(
        default=(),
        description="class names, the first one wins a voxel whatever its energy; classes not named come after these, "
        "voxels without a class last; among rows of equal standing the highest energy wins",
    )

    @field_validator("priority")
    @classmethod
    def _named_once(cls, priority: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(priority)) != len(priority):
            raise ValueError("a class is named twice")
        return priority

    def build(self) -> MergeDuplicates:
        """The transform."""
        return MergeDuplicates(priority=self.priority)


@dataclass(frozen=True)
class MergeDuplicates:
    """See `merge_duplicates`.

    Attributes:
        priority: class names, the first one wins.
    """

    priority: tuple[str, ...] = ()

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with one row a voxel.

        Raises:
            UserError: `priority` names a class that the event does not have, or the event has no semantic labels.
        """
        return merge_duplicates(event, self.priority)


def merge_duplicates(event: Event, priority: tuple[str, ...] = ()) -> Event:
    """The event with one row a voxel, sorted lexicographically by coordinate.

    Energies are summed in float64. Labels and features are those of the row with the highest energy (the
    first of equal ones), or, with `priority`, of the row whose class comes first in it; except features that equal
    the energy, which are summed with it. Every file row of a voxel points to it in `inverse_index`.

    Raises:
        UserError: as for `MergeDuplicates`.
    """
    ranks = class_ranks(event, priority)
    if len(event) == 0:
        return event
    voxel = _voxel_number(event.coords)
    order = np.argsort(voxel)
    is_first = np.diff(voxel[order], prepend=-1) != 0
    starts = np.flatnonzero(is_first)
    if len(starts) == len(order):
        return event if np.array_equal(order, np.arange(len(order))) else event.select(order)
    # In a voxel with several rows the one that gives the labels comes first; lexsort takes its last key first.
    counts = np.diff(starts, append=len(order))
    shared = np.flatnonzero(np.repeat(counts > 1, counts))
    rows = order[shared]
    order[shared] = rows[np.lexsort((rows, -event.energy[rows], ranks[rows], voxel[rows]))]
    energy = np.add.reduceat(event.energy[order].astype(np.float64), starts).astype(np.float32)
    leading = order[starts]
    feats = event.feats[leading]
    feats[:, features_equal_to_energy(event)] = energy[:, None]

    voxel_of_row = np.full(len(event) + 1, -1, dtype=np.int64)  # the last entry serves inverse_index == -1
    voxel_of_row[order] = np.cumsum(is_first) - 1
    return event.replace(
        coords=event.coords[leading],
        energy=energy,
        feats=feats,
        labels={name: column[leading] for name, column in event.labels.items()},
        inverse_index=voxel_of_row[event.inverse_index],
    )


def class_ranks(event: Event, priority: tuple[str, ...]) -> Int64[np.ndarray, " N"]:
    """Standing of each row's class in `priority`, 0 the first; one more for classes not named, two for none.

    Raises:
        UserError: as for `MergeDuplicates`.
    """
    if not priority:
        return np.zeros(len(event), dtype=np.int64)
    unknown = [name for name in priority if name not in event.classes]
    if unknown or "semantic" not in event.labels:
        raise UserError(
            f"{event.key}: priority {list(priority)} needs semantic labels of these classes; the event has "
            f"{'no semantic labels' if 'semantic' not in event.labels else f'classes {list(event.classes)}'}"
        )
    named = {name: rank for rank, name in enumerate(priority)}
    # The last entry serves the label -1.
    ranks = np.array([*(named.get(name, len(named)) for name in event.classes), len(named) + 1], dtype=np.int64)
    result: Int64[np.ndarray, " N"] = ranks[event.labels["semantic"]]
    return result


def _voxel_number(coords: Int32[np.ndarray, "N D"]) -> Int64[np.ndarray, " N"]:
    """A number from 0 for each row, equal for equal coordinates and ordered as they are."""
    columns = np.ascontiguousarray(coords.T).astype(np.int64)
    low = columns.min(axis=1)
    span = columns.max(axis=1) - low + 1
    if np.prod(span.astype(np.float64)) > 2**62:  # far outside of any image
        return np.unique(coords, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    number = np.zeros(len(coords), dtype=np.int64)
    for column, lowest, width in zip(columns, low, span, strict=True):
        number = number * width + (column - lowest)
    return number

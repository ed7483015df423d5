"""Join rows that share a voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig
from lartpc_sparse.data.transforms.energy import features_equal_to_energy

__all__ = ["MergeDuplicates", "MergeDuplicatesConfig", "merge_duplicates"]


class MergeDuplicatesConfig(TransformConfig):
    """Rows of one voxel become one row: energy summed, labels of the row with the highest energy."""

    kind: Literal["merge_duplicates"] = "merge_duplicates"

    def build(self) -> MergeDuplicates:
        """The transform."""
        return MergeDuplicates()


@dataclass(frozen=True)
class MergeDuplicates:
    """See `merge_duplicates`."""

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with one row a voxel."""
        return merge_duplicates(event)


def merge_duplicates(event: Event) -> Event:
    """The event with one row a voxel, sorted lexicographically by coordinate.

    Energies are summed in float64. Labels and features are those of the row with the highest energy (the
    first of equal ones), except features that equal the energy, which are summed with it. Every file row of
    a voxel points to it in `inverse_index`.
    """
    if len(event) == 0:
        return event
    # Within a voxel the highest energy comes first; lexsort is stable and takes its last key as the primary.
    order = np.lexsort((-event.energy, *event.coords.T[::-1]))
    coords = event.coords[order]
    is_first = np.concatenate([[True], (np.diff(coords, axis=0) != 0).any(axis=1)])
    starts = np.flatnonzero(is_first)
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

"""An event with filled gaps."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.cluster.gaps.fills import Fill
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.data.transforms.mask_boxes import blank_like
from lartpc_sparse.schema import BadEventError

__all__ = ["filled_event"]


def filled_event(event: Event, boxes: Int64[np.ndarray, "R 2 D"], fill: Fill) -> Event:
    """The event without its voxels in the boxes, and with the voxels of `fill` behind the others.

    No voxel outside the boxes changes in any column. With nothing in the boxes and nothing to fill the event is given
    back as it is. New voxels have energy as input feature and in the label columns -1 (integers), 0 or False.

    Args:
        event: as its reader gives it.
        boxes: the gaps.
        fill: voxels in the gaps, none twice.

    Raises:
        BadEventError: `fill` has voxels outside of the boxes, or energies that are not finite.
    """
    if (box_of_voxel(fill.coords, boxes) < 0).any() or not np.isfinite(fill.energy).all():
        raise BadEventError(
            f"{event.key}: voxels to fill lie outside of the gaps, or have energies that are not finite"
        )
    inside = box_of_voxel(event.coords, boxes) >= 0
    if not inside.any() and not len(fill.coords):
        return event
    kept = event.select(~inside)
    count = len(fill.coords)
    return kept.replace(
        coords=np.concatenate([kept.coords, fill.coords]),
        energy=np.concatenate([kept.energy, fill.energy]),
        feats=np.concatenate([kept.feats, np.repeat(fill.energy[:, None], kept.feats.shape[1], axis=1)]),
        labels={
            name: np.concatenate([column, blank_like(name, column, count)]) for name, column in kept.labels.items()
        },
        gaps=boxes,
    )

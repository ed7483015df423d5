"""Several events as torch tensors, one after the other, with offsets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64, Shaped
from torch import Tensor

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.schema import UserError

__all__ = ["Batch", "collate"]


@dataclass(frozen=True)
class Batch:
    """A jagged batch of B events with N voxels in all.

    Attributes:
        coords: voxel index, no batch column; rows of event b are `offsets[b]:offsets[b+1]`,
            lexicographically sorted inside an event, no duplicates.
        feats: input of the network.
        energy: MeV or pixel intensity.
        offsets: starts at 0, ends at N; empty events have equal neighbours.
        labels: per-voxel columns that every event of the batch has.
        image_size: common to all events.
        classes: names of the semantic labels.
        keys: file and entry of each event.
        events: the events themselves, voxels in batch order; empty in training.
        skipped: how many of the events could not be used and are empty (`data.on_bad_event: skip`); set in training.
    """

    coords: Int32[Tensor, "N D"]
    feats: Float[Tensor, "N C"]
    energy: Float[Tensor, " N"]
    offsets: Int64[Tensor, " B1"]
    labels: Mapping[str, Shaped[Tensor, " N"]]
    image_size: tuple[int, ...]
    classes: tuple[str, ...]
    keys: tuple[EventKey, ...]
    events: tuple[Event, ...]
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def num_voxels(self) -> int:
        """Voxels of all events together."""
        return len(self.coords)

    def batch_index(self) -> Int64[Tensor, " N"]:
        """Event of each voxel."""
        counts = self.offsets.diff()
        return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)

    def without_events(self) -> Batch:
        """The batch with its tensors only."""
        return dataclasses.replace(self, events=())

    def label(self, name: str) -> Shaped[Tensor, " N"]:
        """A label column.

        Raises:
            UserError: the events do not have it.
        """
        if name not in self.labels:
            raise UserError(
                f"{self.keys[0]} and the events beside it have no label {name!r} (they have "
                f"{', '.join(sorted(self.labels)) or 'none'}); training and validation need labelled files"
            )
        return self.labels[name]

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on another device."""
        return dataclasses.replace(
            self,
            coords=self.coords.to(device, non_blocking=True),
            feats=self.feats.to(device, non_blocking=True),
            energy=self.energy.to(device, non_blocking=True),
            offsets=self.offsets.to(device, non_blocking=True),
            labels={name: column.to(device, non_blocking=True) for name, column in self.labels.items()},
        )

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for asynchronous copies (called by DataLoader)."""
        return dataclasses.replace(
            self,
            coords=self.coords.pin_memory(),
            feats=self.feats.pin_memory(),
            energy=self.energy.pin_memory(),
            offsets=self.offsets.pin_memory(),
            labels={name: column.pin_memory() for name, column in self.labels.items()},
        )


def _sorted(event: Event) -> Event:
    """Voxels in lexicographic order, for cache locality; refuses duplicates.

    Raises:
        ValueError: two voxels share a coordinate.
    """
    if _is_sorted(event):
        return event
    order = np.lexsort(event.coords.T[::-1])
    result = event if np.array_equal(order, np.arange(len(order))) else event.select(order)
    same = (np.diff(result.coords, axis=0) == 0).all(axis=1)
    if same.any():
        where = result.coords[np.flatnonzero(same)[0]].tolist()
        raise ValueError(
            f"{event.key}: {int(same.sum())} duplicate voxels, the first at {where}; "
            "add {kind: merge_duplicates} to data.transforms"
        )
    return result


def _is_sorted(event: Event) -> bool:
    """Whether the voxels are in lexicographic order without duplicates; False also where that is not quick to see."""
    coords, size = event.coords, event.image_size
    if len(coords) and not ((coords.min(axis=0) >= 0) & (coords.max(axis=0) < np.array(size))).all():
        return False
    if np.prod(size, dtype=np.float64) >= 2.0**62:
        return False
    key = np.zeros(len(coords), dtype=np.int64)
    for axis, length in enumerate(size):
        key *= length
        key += coords[:, axis]
    return bool((key[1:] > key[:-1]).all())


def collate(events: Sequence[Event]) -> Batch:
    """Join events into one batch; voxels are sorted inside each event, events keep their order.

    Raises:
        ValueError: no events, duplicate voxels, or events that differ in image size, feature count or classes.
    """
    if not events:
        raise ValueError("collate needs at least one event (it may be an empty one)")
    first = events[0]
    for event in events:
        for name in ("image_size", "classes"):
            if getattr(event, name) != getattr(first, name):
                raise ValueError(
                    f"{event.key} has {name} {getattr(event, name)}, but {first.key} has {getattr(first, name)}; "
                    "one batch cannot hold both"
                )
        if event.feats.shape[1] != first.feats.shape[1]:
            raise ValueError(f"{event.key} has {event.feats.shape[1]} features, {first.key} {first.feats.shape[1]}")
    ordered = tuple(_sorted(event) for event in events)
    names = [name for name in first.labels if all(name in event.labels for event in ordered)]
    counts = np.array([len(event) for event in ordered], dtype=np.int64)
    return Batch(
        coords=torch.from_numpy(np.concatenate([event.coords for event in ordered])),
        feats=torch.from_numpy(np.concatenate([event.feats for event in ordered])),
        energy=torch.from_numpy(np.concatenate([event.energy for event in ordered])),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])),
        labels={name: torch.from_numpy(np.concatenate([event.labels[name] for event in ordered])) for name in names},
        image_size=first.image_size,
        classes=first.classes,
        keys=tuple(event.key for event in ordered),
        events=ordered,
    )

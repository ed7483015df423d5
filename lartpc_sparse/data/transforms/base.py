"""What a transform is: a function of one event and a random generator that gives a new event.

A transform that moves voxels leaves the positions and directions of the particle table as the file has them: which
columns are positions, and whether in voxels, differs between formats (the vertices of PILArNet-M are not in voxels).
`Event.frame` holds the motion; a head that compares voxels with a column brings it along with `frame.positions` or
`frame.directions`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import numpy as np

from lartpc_sparse.data.event import Event
from lartpc_sparse.schema import BadEventError, PartConfig, UserError

__all__ = ["Transform", "TransformConfig", "per_axis", "require_finite_energy", "require_unmasked"]


@runtime_checkable
class Transform(Protocol):
    """A step between reader and batch; all its randomness comes from `rng`."""

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The transformed event; the given one is not changed."""
        ...


class TransformConfig(PartConfig, ABC):
    """Base of the configurations in `data.transforms`."""

    @abstractmethod
    def build(self) -> Transform:
        """The transform that this configuration describes."""


def per_axis(value: int | tuple[int, ...], dim: int, name: str) -> tuple[int, ...]:
    """One number for each of `dim` axes; a single number serves all axes.

    Raises:
        UserError: a tuple of another length.
    """
    if isinstance(value, int):
        return (value,) * dim
    if len(value) != dim:
        raise UserError(
            f"{name} has {len(value)} numbers {value}, but the images have {dim} axes; give one number or {dim}"
        )
    return value


def require_finite_energy(event: Event) -> None:
    """Refuse NaN and infinite energies, which a comparison would drop without a word.

    Raises:
        BadEventError: an energy is NaN or infinite.
    """
    bad = ~np.isfinite(event.energy)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise BadEventError(
            f"{event.key}: energy is {event.energy[row]} at voxel {event.coords[row].tolist()} "
            f"({int(bad.sum())} such voxels); repair the file or set on_bad_event: skip"
        )


def require_unmasked(event: Event, kind: str) -> None:
    """Refuse an event with candidate voxels: their energy is not known, so `kind` would act on placeholders.

    Raises:
        UserError: `mask_boxes` has run before.
    """
    if "candidate" in event.labels and event.labels["candidate"].any():
        raise UserError(f"{event.key}: {kind} stands after mask_boxes in data.transforms; put it before")

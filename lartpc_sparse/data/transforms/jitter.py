"""Move voxels at random by a few places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, PositiveInt

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, per_axis
from lartpc_sparse.data.transforms.energy import energy_features
from lartpc_sparse.data.transforms.merge_duplicates import merge_duplicates

__all__ = ["Jitter", "JitterConfig"]


class JitterConfig(TransformConfig):
    """Some voxels move by a few places, as an imprecise position measurement would do."""

    kind: Literal["jitter"] = "jitter"
    max_shift: PositiveInt | tuple[PositiveInt, ...] = Field(
        default=1, description="largest shift of a voxel along an axis, voxels; one number or one for each axis"
    )
    probability: float = Field(default=0.1, ge=0, le=1, description="for each voxel, independently")

    def build(self) -> Jitter:
        """The transform."""
        return Jitter(max_shift=self.max_shift, probability=self.probability)


@dataclass(frozen=True)
class Jitter:
    """Shift chosen voxels by uniform random steps in [-max_shift, max_shift], each axis on its own.

    A step that would leave the image ends at its border. Voxels that meet are joined as in `merge_duplicates`
    (energies summed, labels of the higher energy), which also sorts the voxels; so no energy is lost.

    Attributes:
        max_shift: largest step, voxels.
        probability: that a voxel is moved (by a step that may be 0).
    """

    max_shift: int | tuple[int, ...] = 1
    probability: float = 0.1

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with moved voxels.

        Raises:
            UserError: `max_shift` does not fit the number of axes, the event is masked, or no input feature equals
                the energy any more, so that the features of voxels that meet could not be joined.
        """
        energy_features(event, "jitter")
        reach = np.array(per_axis(self.max_shift, event.dim, "jitter.max_shift"), dtype=np.int32)
        rows = np.flatnonzero(rng.random(len(event)) < self.probability)
        steps = rng.integers(-reach, reach, size=(len(rows), event.dim), endpoint=True, dtype=np.int32)
        coords = event.coords.copy()
        last = np.array(event.image_size, dtype=np.int32) - 1
        coords[rows] = np.clip(coords[rows] + steps, 0, last)
        return merge_duplicates(event.replace(coords=coords))

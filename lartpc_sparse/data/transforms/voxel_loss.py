"""Random loss of single voxels: an inefficient detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig, require_finite_energy, require_unmasked

__all__ = ["RandomVoxelLoss", "RandomVoxelLossConfig"]


class RandomVoxelLossConfig(TransformConfig):
    """Every voxel is lost with some probability, independently; on request mostly those of low energy."""

    kind: Literal["random_voxel_loss"] = "random_voxel_loss"
    probability: float = Field(default=0.1, ge=0, le=1, description="for each voxel; of energy 0 if energy_mev is set")
    energy_mev: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="the probability falls with the energy E as exp(-E / energy_mev), MeV (2D: the image's units); "
        "none: the same for all",
    )

    def build(self) -> RandomVoxelLoss:
        """The transform."""
        return RandomVoxelLoss(probability=self.probability, energy_mev=self.energy_mev)


@dataclass(frozen=True)
class RandomVoxelLoss:
    """Drop voxels with probability p, or p exp(-E / E0); negative energies count as 0.

    Attributes:
        probability: p.
        energy_mev: E0, None for no dependence on the energy.
    """

    probability: float = 0.1
    energy_mev: float | None = None

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event without the lost voxels.

        Raises:
            UserError: the event is masked.
            BadEventError: `energy_mev` is set and an energy is NaN or infinite.
        """
        require_unmasked(event, "random_voxel_loss")
        drawn = rng.random(len(event))
        if self.energy_mev is None:
            return event.select(drawn >= self.probability)
        require_finite_energy(event)
        weight = np.exp(-np.maximum(event.energy.astype(np.float64), 0) / self.energy_mev)
        return event.select(drawn >= self.probability * weight)

"""Gaussian noise on the energy of every voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms.base import TransformConfig
from lartpc_sparse.data.transforms.energy import energy_features

__all__ = ["SmearEnergy", "SmearEnergyConfig"]


class SmearEnergyConfig(TransformConfig):
    """Every voxel's energy gets gaussian noise of its own; `scale_energy` moves all of an event together."""

    kind: Literal["smear_energy"] = "smear_energy"
    relative: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="standard deviation / energy")
    absolute_mev: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="standard deviation, MeV (2D: the image's units)"
    )

    @model_validator(mode="after")
    def _does_something(self) -> SmearEnergyConfig:
        if not self.relative and not self.absolute_mev:
            raise ValueError("give relative, absolute_mev or both; with neither nothing is smeared")
        return self

    def build(self) -> SmearEnergy:
        """The transform."""
        return SmearEnergy(relative=self.relative, absolute_mev=self.absolute_mev)


@dataclass(frozen=True)
class SmearEnergy:
    """E becomes E + sqrt((relative E)^2 + absolute^2) z with z standard normal, for each voxel.

    An energy that was not negative does not become so: it ends at 0, and the voxel stays. So the number of voxels
    does not depend on the noise; `energy_threshold` behind it removes what a detector would not read out. Energies
    that were negative already (wire signals have them) are smeared without a limit.

    Attributes:
        relative: standard deviation / energy.
        absolute_mev: standard deviation, MeV.
    """

    relative: float = 0.0
    absolute_mev: float = 0.0

    def __call__(self, event: Event, rng: np.random.Generator) -> Event:
        """The event with smeared energies and the features that equal them.

        Raises:
            UserError: no feature equals the energy any more, or the event is masked.
        """
        same = energy_features(event, "smear_energy")
        old = event.energy.astype(np.float64)
        new = old + np.hypot(self.relative * old, self.absolute_mev) * rng.standard_normal(len(event))
        energy = np.where(old >= 0, np.maximum(new, 0), new).astype(np.float32)
        feats = event.feats.copy()
        feats[:, same] = energy[:, None]
        return event.replace(energy=energy, feats=feats)

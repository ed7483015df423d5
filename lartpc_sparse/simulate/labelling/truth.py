"""What a simulation tells: its particles and what they deposited, independent of the program that made them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Deposits", "Process", "Tracks"]


class Process(IntEnum):
    """How a particle came to be, as far as labels depend on it."""

    PRIMARY = 0
    IONISATION = 1
    DECAY = 2
    MUON_CAPTURE = 3
    """At rest: nuclear capture, the atomic cascade before it, and the decay in orbit."""
    OTHER = 4


@dataclass(frozen=True)
class Tracks:
    """The T simulated particles of an event; a parent stands before its children.

    Attributes:
        track_id: the simulation's number.
        parent: row of the parent, -1 for a primary.
        pdg: Monte Carlo number of the Particle Data Group.
        charge: in units of the positron's.
        process: `Process`.
        kinetic_energy_mev: at the start.
        mass_mev: rest mass.
        start: where it starts, in voxels: voxel i reaches from i to i + 1.
        direction: unit vector at the start; zero where it was not asked for.
        start_ns: time of the start since the beginning of the event.
        interaction: of primaries, the number of their vertex; -1 for all others.
    """

    track_id: Int[np.ndarray, " T"]
    parent: Int[np.ndarray, " T"]
    pdg: Int[np.ndarray, " T"]
    charge: Float[np.ndarray, " T"]
    process: Int[np.ndarray, " T"]
    kinetic_energy_mev: Float[np.ndarray, " T"]
    mass_mev: Float[np.ndarray, " T"]
    start: Float[np.ndarray, "T 3"]
    direction: Float[np.ndarray, "T 3"]
    start_ns: Float[np.ndarray, " T"]
    interaction: Int[np.ndarray, " T"]

    def __post_init__(self) -> None:
        late = np.flatnonzero(self.parent >= np.arange(len(self.parent)))
        if len(late):
            raise ValueError(
                f"track row {late[0]} has parent row {self.parent[late[0]]}; a parent must stand before its children"
            )

    def __len__(self) -> int:
        return len(self.parent)


@dataclass(frozen=True)
class Deposits:
    """The M steps of an event that deposited energy.

    Attributes:
        coords: voxel of the deposit.
        energy_mev: deposited energy.
        dx_mm: path length in the voxel; 0 for what neutral particles leave.
        time_ns: since the beginning of the event.
        track: row in `Tracks`.
    """

    coords: Int[np.ndarray, "M 3"]
    energy_mev: Float[np.ndarray, " M"]
    dx_mm: Float[np.ndarray, " M"]
    time_ns: Float[np.ndarray, " M"]
    track: Int[np.ndarray, " M"]

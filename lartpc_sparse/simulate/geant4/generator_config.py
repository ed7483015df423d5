"""What is shot into the volume: bunches of particles, their species, energies, places and directions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lartpc_sparse.schema import Config, OneOf, PartConfig

__all__ = [
    "BoxDirectionsConfig",
    "BunchConfig",
    "CosmicDirectionsConfig",
    "DirectionField",
    "IsotropicConfig",
    "ParticleName",
    "Range",
    "SpeciesConfig",
    "pilarnet_bunches",
]

ParticleName = Literal[
    "e-", "e+", "gamma", "mu-", "mu+", "pi-", "pi+", "pi0", "kaon-", "kaon+", "proton", "neutron", "deuteron", "alpha"
]
"""Geant4's names of the particles that can be shot."""

Range = tuple[float, float]


def _ordered(name: str, values: tuple[float, float] | None, *, least: float = 0.0) -> None:
    if values is not None and not least <= values[0] <= values[1]:
        raise ValueError(f"{name} is [from, to] with {least:g} <= from <= to, not {list(values)}")


class SpeciesConfig(Config):
    """One species: drawn as often as every other of its bunch; charges are equally likely."""

    particles: tuple[ParticleName, ...] = Field(min_length=1, description="one is drawn: [mu-, mu+]")
    kinetic_energy_mev: Range | None = Field(None, description="uniform from..to, MeV")
    momentum_mev: Range | None = Field(None, description="uniform from..to, MeV/c, instead of kinetic_energy_mev")
    at_most: int | None = Field(None, ge=1, description="particles of this species in one bunch; null: any number")

    @model_validator(mode="after")
    def _one_range(self) -> SpeciesConfig:
        if (self.kinetic_energy_mev is None) == (self.momentum_mev is None):
            raise ValueError("give either kinetic_energy_mev or momentum_mev, [from, to]")
        _ordered("kinetic_energy_mev", self.kinetic_energy_mev)
        _ordered("momentum_mev", self.momentum_mev)
        return self


class IsotropicConfig(PartConfig):
    """Every direction is equally likely."""

    kind: Literal["isotropic"] = "isotropic"


class BoxDirectionsConfig(PartConfig):
    """The vector is uniform in a box, then made a unit vector: [[0, 0], [0, 0], [1, 1]] is along z."""

    kind: Literal["box"] = "box"
    ranges: tuple[Range, Range, Range] = Field(description="from..to of the components along x, y and z")

    @model_validator(mode="after")
    def _checked(self) -> BoxDirectionsConfig:
        for axis, values in zip("xyz", self.ranges, strict=True):
            _ordered(f"ranges of {axis}", values, least=float("-inf"))
        if all(low == high == 0 for low, high in self.ranges):
            raise ValueError("ranges hold nothing but the vector (0, 0, 0), which has no direction")
        return self


class CosmicDirectionsConfig(PartConfig):
    """Downwards along -y, as cosmic rays at sea level: density cos^2 of the angle to the vertical."""

    kind: Literal["cosmic"] = "cosmic"
    max_angle_deg: float = Field(80.0, gt=0, le=90, description="largest angle to the vertical, degrees")


DirectionField = Annotated[PartConfig, OneOf(IsotropicConfig, BoxDirectionsConfig, CosmicDirectionsConfig)]


class BunchConfig(Config):
    """Particles that are shot together: from one vertex, or each from its own."""

    count: tuple[int, int] = Field(description="number of particles, uniform from..to")
    species: tuple[SpeciesConfig, ...] = Field(min_length=1, description="what they are")
    one_vertex: bool = Field(True, description="false: every particle has a vertex and an interaction of its own")
    region_mm: tuple[Range, Range, Range] | None = Field(
        None, description="from..to of vertices along x, y, z in the volume, mm from its corner; null: everywhere"
    )
    directions: DirectionField = IsotropicConfig()
    from_outside: bool = Field(
        False, description="move the start back along the direction to where the line enters the volume"
    )

    @model_validator(mode="after")
    def _checked(self) -> BunchConfig:
        if not 0 <= self.count[0] <= self.count[1]:
            raise ValueError(f"count is [from, to] with 0 <= from <= to, not {list(self.count)}")
        limits = [species.at_most for species in self.species]
        if None not in limits and sum(limit or 0 for limit in limits) < self.count[1]:
            raise ValueError(f"count goes to {self.count[1]}, but at_most of all species together is less")
        for axis, values in zip("xyz", self.region_mm or (), strict=False):
            _ordered(f"region_mm of {axis}", values)
        return self


def pilarnet_bunches() -> tuple[BunchConfig, ...]:
    """A vertex with 2 to 6 particles and 1 to 3 particles from anywhere, as in PILArNet (arXiv:2006.01993)."""
    vertex: dict[tuple[ParticleName, ...], tuple[int, int]]
    vertex = {("e-",): (30, 1000), ("gamma",): (30, 1000), ("mu-", "mu+"): (50, 1500), ("pi-", "pi+"): (50, 1000)}
    rain: dict[tuple[ParticleName, ...], tuple[int, int]]
    rain = {("mu-", "mu+"): (50, 3000), ("e-",): (30, 500), ("proton",): (50, 500)}
    return (
        BunchConfig(count=(2, 6), species=_species({**vertex, ("proton",): (50, 600)})),
        BunchConfig(count=(1, 3), species=_species(rain), one_vertex=False),
    )


def _species(ranges: dict[tuple[ParticleName, ...], tuple[int, int]]) -> tuple[SpeciesConfig, ...]:
    return tuple(SpeciesConfig(particles=names, kinetic_energy_mev=values) for names, values in ranges.items())

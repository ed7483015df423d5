"""Draws the particles that are shot into the volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lartpc_sparse.schema import PartConfig, UserError
from lartpc_sparse.simulate.geant4.generator_config import (
    BoxDirectionsConfig,
    BunchConfig,
    CosmicDirectionsConfig,
    ParticleName,
    SpeciesConfig,
)

__all__ = ["MASS_MEV", "Primary", "draw_primaries"]

MASS_MEV: dict[ParticleName, float] = {
    "gamma": 0.0,
    **dict.fromkeys(("e-", "e+"), 0.51099895),
    **dict.fromkeys(("mu-", "mu+"), 105.6583755),
    **dict.fromkeys(("pi-", "pi+"), 139.57039),
    "pi0": 134.9768,
    **dict.fromkeys(("kaon-", "kaon+"), 493.677),
    "proton": 938.27209,
    "neutron": 939.56542,
    "deuteron": 1875.61294,
    "alpha": 3727.37941,
}
"""Rest masses (Particle Data Group 2024); they turn a momentum into a kinetic energy."""


@dataclass(frozen=True)
class Primary:
    """One particle to shoot.

    Attributes:
        name: Geant4's name.
        interaction: number of its vertex in the event.
        position_mm: from the corner of the volume.
        direction: unit vector.
        kinetic_energy_mev: kinetic energy.
    """

    name: ParticleName
    interaction: int
    position_mm: tuple[float, float, float]
    direction: tuple[float, float, float]
    kinetic_energy_mev: float


def draw_primaries(
    bunches: Sequence[BunchConfig], size_mm: tuple[float, float, float], rng: np.random.Generator
) -> tuple[Primary, ...]:
    """The particles of one event, those of a vertex one after the other.

    Raises:
        UserError: a region of vertices that is not in the volume.
    """
    primaries: list[Primary] = []
    interaction = 0
    for bunch in bunches:
        count = int(rng.integers(bunch.count[0], bunch.count[1], endpoint=True))
        vertex = _vertex(bunch, size_mm, rng)
        for species in _choose(bunch.species, count, rng):
            if not bunch.one_vertex:
                vertex = _vertex(bunch, size_mm, rng)
            name = species.particles[rng.integers(len(species.particles))]
            energy = _kinetic_energy(species, name, rng)
            direction = _direction(bunch.directions, rng)
            start = _entry(vertex, direction, size_mm) if bunch.from_outside else vertex
            primaries.append(Primary(name, interaction, _three(start), _three(direction), energy))
            interaction += not bunch.one_vertex
        interaction += bunch.one_vertex and count > 0
    return tuple(primaries)


def _three(vector: Float64[np.ndarray, " 3"]) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])


def _choose(species: Sequence[SpeciesConfig], count: int, rng: np.random.Generator) -> list[SpeciesConfig]:
    """Uniform over the species that have not reached `at_most`."""
    used = [0] * len(species)
    chosen = []
    for _ in range(count):
        free = [i for i, item in enumerate(species) if item.at_most is None or used[i] < item.at_most]
        pick = free[rng.integers(len(free))]
        used[pick] += 1
        chosen.append(species[pick])
    return chosen


def _kinetic_energy(species: SpeciesConfig, name: ParticleName, rng: np.random.Generator) -> float:
    if species.kinetic_energy_mev is not None:
        return float(rng.uniform(*species.kinetic_energy_mev))
    assert species.momentum_mev is not None
    momentum, mass = float(rng.uniform(*species.momentum_mev)), MASS_MEV[name]
    return float(np.hypot(momentum, mass) - mass)


def _vertex(
    bunch: BunchConfig, size_mm: tuple[float, float, float], rng: np.random.Generator
) -> Float64[np.ndarray, " 3"]:
    region = bunch.region_mm or tuple((0.0, side) for side in size_mm)
    low, high = np.array(region).T
    if (high > np.array(size_mm)).any():
        raise UserError(
            f"region_mm {[list(r) for r in region]} reaches out of the volume of {list(size_mm)} mm; correct "
            "simulate.source.bunches"
        )
    return np.asarray(rng.uniform(low, high))


def _direction(config: PartConfig, rng: np.random.Generator) -> Float64[np.ndarray, " 3"]:
    if isinstance(config, CosmicDirectionsConfig):
        # Density of the zenith angle's cosine c is c^2 (flux per solid angle), so c^3 is uniform.
        lowest = np.cos(np.radians(config.max_angle_deg)) ** 3
        cosine = np.cbrt(rng.uniform(lowest, 1.0))
        azimuth, sine = rng.uniform(0.0, 2 * np.pi), np.sqrt(1 - cosine**2)
        return np.array([sine * np.cos(azimuth), -cosine, sine * np.sin(azimuth)])
    if isinstance(config, BoxDirectionsConfig):
        vector = rng.uniform(*np.array(config.ranges).T)
        while not vector.any():
            vector = rng.uniform(*np.array(config.ranges).T)
    else:
        vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))


def _entry(
    point: Float64[np.ndarray, " 3"], direction: Float64[np.ndarray, " 3"], size_mm: tuple[float, float, float]
) -> Float64[np.ndarray, " 3"]:
    """Where the line through a point of the volume enters it, going along the direction."""
    wall = np.where(direction > 0, 0.0, np.array(size_mm))
    with np.errstate(divide="ignore", invalid="ignore"):
        back = np.where(direction != 0, (point - wall) / direction, np.inf)
    return np.asarray(np.clip(point - back.min() * direction, 0.0, size_mm))

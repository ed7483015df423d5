"""Recoils: how far an electron or a nucleus goes, and how much of its energy ionises.

Electrons: practical range of Katz and Penfold (Rev. Mod. Phys. 24 (1952) 28), R = 412 E^(1.265 - 0.0954 ln E) mg/cm2
with E in MeV (measured above 10 keV, extrapolated below), and a random walk of the direction. Nuclei: straight,
quenched after Lindhard in the form of Lewin and Smith (Astropart. Phys. 6 (1996) 87).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from pydantic import Field

from lartpc_sparse.schema import Config

__all__ = ["RecoilConfig", "electron_range_mm", "electron_track", "lindhard", "nuclear_track"]

_STEPS = 48
"""Steps of an electron track; shorter ones change nothing that the diffusion leaves visible."""


class RecoilConfig(Config):
    """Which recoils there are, and how they move through the gas."""

    electron_kev: tuple[float, ...] = Field(
        (0.25, 0.5, 1.0, 3.0, 6.0, 10.0, 30.0, 60.0), description="energies of electron recoils, keV; empty: none"
    )
    nuclear_kev: tuple[float, ...] = Field(
        (0.25, 0.5, 1.0, 3.0, 6.0, 10.0, 30.0, 60.0), description="energies of nuclear recoils, keV; empty: none"
    )
    spread: float = Field(
        0.0, ge=0, le=1, description="an energy is drawn between E (1 - spread) and E (1 + spread), even in E"
    )
    per_image: tuple[int, int] = Field((1, 1), description="[least, most] recoils of an image, drawn evenly")
    density_mg_cm3: float = Field(
        1.51, gt=0, description="of the gas, mg/cm3; He/CF4 60/40 at 1 atm and 30 C (ideal gas)"
    )
    electron_transport: float = Field(
        0.35, gt=0, description="length over which an electron forgets its direction, as a part of its range; assumed"
    )
    nucleus: tuple[int, int] = Field((2, 4), description="charge and mass number of the recoiling nucleus; helium")
    nuclear_range_mm: float = Field(0.015, ge=0, description="range of a nucleus, mm per keV; assumed")


def electron_range_mm(energy_kev: Float[np.ndarray, " N"], density_mg_cm3: float) -> Float64[np.ndarray, " N"]:
    """Practical range along the track, mm; see the module's docstring."""
    mev = np.maximum(np.asarray(energy_kev, dtype=np.float64) / 1000, 1e-5)
    range_mg_cm2 = 412.0 * mev ** (1.265 - 0.0954 * np.log(mev))
    result: Float64[np.ndarray, " N"] = range_mg_cm2 / density_mg_cm3 * 10
    return result


def lindhard(energy_kev: float, charge: int, mass: int) -> float:
    """Share of the energy of a nucleus that ionises: k g / (1 + k g), g = 3 e^0.15 + 0.7 e^0.6 + e."""
    reduced = 11.5 * energy_kev * charge ** (-7 / 3)
    k = 0.133 * charge ** (2 / 3) * mass**-0.5
    g = 3 * reduced**0.15 + 0.7 * reduced**0.6 + reduced
    return float(k * g / (1 + k * g))


def electron_track(
    energy_kev: float, config: RecoilConfig, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "S 3"], Float64[np.ndarray, " S"]]:
    """Points along the track of an electron from the origin, mm, and the energy left at each, keV."""
    table = np.geomspace(1e-3, max(energy_kev, 2e-3), 256)
    ranges = electron_range_mm(table, config.density_mg_cm3)
    total = float(electron_range_mm(np.array([energy_kev]), config.density_mg_cm3)[0])
    left = total * np.linspace(1, 0, _STEPS + 1)
    energy = np.interp(left, ranges, table, left=0.0)
    step = total / _STEPS
    direction = _isotropic(rng)
    middle, points = np.zeros(3), []
    for residual in left[:-1] - step / 2:
        points.append(middle + direction * step / 2)
        middle = middle + direction * step
        turn = min(np.sqrt(step / (config.electron_transport * residual)), 1.5)
        direction = direction + turn * rng.normal(size=3)
        direction /= np.linalg.norm(direction)
    return np.array(points), energy[:-1] - energy[1:]


def nuclear_track(
    energy_kev: float, config: RecoilConfig, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "S 3"], Float64[np.ndarray, " S"]]:
    """As `electron_track` for a nucleus, with its quenched energy; it ionises less towards its end."""
    length = config.nuclear_range_mm * energy_kev
    along = np.linspace(0, 1, 8, endpoint=False) + 1 / 16
    share = (1 - along) / (1 - along).sum()
    visible = energy_kev * lindhard(energy_kev, *config.nucleus)
    return along[:, None] * length * _isotropic(rng), share * visible


def _isotropic(rng: np.random.Generator) -> Float64[np.ndarray, " 3"]:
    vector = rng.normal(size=3)
    result: Float64[np.ndarray, " 3"] = vector / np.linalg.norm(vector)
    return result

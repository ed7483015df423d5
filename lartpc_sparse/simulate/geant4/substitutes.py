"""Which of Geant4's tables for argon are not the official ones, judged from what the folders hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["find_substitutes"]

_OFFICIAL_ELEMENTS = 90
"""An official electromagnetic data set has a file for every element up to about 100; a reduced one for argon."""


def find_substitutes(folders: Mapping[str, Path], *, hadronic: bool) -> tuple[str, ...]:
    """In words, what is substituted or absent; empty when everything looks official.

    Official data sets have files for all elements, with differing contents; reduced ones have files for argon, one
    file copied to all elements, or none.

    Args:
        folders: environment variable -> folder of the data set.
        hadronic: also look at what hadronic physics reads.
    """
    found: list[str] = []
    low_energy = folders["G4LEDATA"]
    if _count(low_energy / "brem_SB", "br*") < _OFFICIAL_ELEMENTS:
        found.append("bremsstrahlung below 1 GeV")
    if _count(low_energy / "epics2017" / "phot", "pe-cs-*.dat") < _OFFICIAL_ELEMENTS:
        found.append("photoelectric effect")
    if _count(low_energy / "epics2017" / "rayl", "re-cs-*.dat") < _OFFICIAL_ELEMENTS:
        found.append("Rayleigh scattering")
    if not hadronic:
        return tuple(found)
    neutron = folders["G4PARTICLEXSDATA"] / "neutron"
    if _same(neutron / "el18", neutron / "el20") or not (neutron / "el18").is_file():
        found.append("neutron cross sections")
    if not _count(folders["G4LEVELGAMMADATA"], "z*"):
        found.append("nuclear level data (none)")
    if not any(path.stat().st_size for path in folders["G4ENSDFSTATEDATA"].glob("ENSDFSTATE.dat")):
        found.append("nuclear states (none)")
    return tuple(found)


def _count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


def _same(first: Path, second: Path) -> bool:
    return first.is_file() and second.is_file() and first.read_bytes() == second.read_bytes()

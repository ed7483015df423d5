"""Where Geant4's data tables are, and which of them are not the official ones.

Geant4 finds each data set through an environment variable of its own. `geant4_pybind` asks for a download of what is
missing when it is imported, so everything is decided here, before that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.geant4.substitutes import find_substitutes

__all__ = ["DATA_SETS", "DataSet", "Tables", "find_tables"]

_DOWNLOADED = Path("~/.geant4_pybind")
"""Where geant4_pybind puts what it downloads."""


@dataclass(frozen=True)
class DataSet:
    """One of Geant4's data sets.

    Attributes:
        variable: of the environment, by which Geant4 finds it.
        official: beginning of its official folder's name; a version follows.
        plain: name of its folder in a directory of reduced tables.
        needed: what Geant4 needs it for: `electromagnetic`, `hadronic`, or `nothing` (its variable must be set, but
            the processes used here read nothing from it).
    """

    variable: str
    official: str
    plain: str
    needed: str


DATA_SETS = (
    DataSet("G4LEDATA", "G4EMLOW", "EMLOW", "electromagnetic"),
    DataSet("G4ENSDFSTATEDATA", "G4ENSDFSTATE", "ENSDF", "electromagnetic"),
    DataSet("G4LEVELGAMMADATA", "PhotonEvaporation", "PHOT", "hadronic"),
    DataSet("G4PARTICLEXSDATA", "G4PARTICLEXS", "PXS", "hadronic"),
    DataSet("G4SAIDXSDATA", "G4SAIDDATA", "SAID", "nothing"),
    DataSet("G4ABLADATA", "G4ABLA", "ABLA", "nothing"),
    DataSet("G4INCLDATA", "G4INCL", "INCL", "nothing"),
    DataSet("G4NEUTRONHPDATA", "G4NDL", "NDL", "nothing"),
    DataSet("G4RADIOACTIVEDATA", "RadioactiveDecay", "RADIOACTIVE", "nothing"),
)


@dataclass(frozen=True)
class Tables:
    """What was found.

    Attributes:
        directory: stands for GEANT4_DATA_DIR.
        folders: environment variable -> folder.
        substitutes: in words, which data are not Geant4's official ones.
    """

    directory: Path
    folders: Mapping[str, Path]
    substitutes: tuple[str, ...] = field(default=())

    def environment(self) -> dict[str, str]:
        """The variables that Geant4 and `geant4_pybind` need."""
        return {"GEANT4_DATA_DIR": str(self.directory), **{name: str(path) for name, path in self.folders.items()}}

    def describe(self) -> str:
        """The data sets that are read, for a file's attributes: names of folders, not paths of this machine."""
        read = [data_set for data_set in DATA_SETS if data_set.needed != "nothing"]
        return ", ".join(f"{item.variable}={self.folders[item.variable].name}" for item in read)


def find_tables(
    directory: str | None, environment: Mapping[str, str] | None = None, *, hadronic: bool = True
) -> Tables:
    """The tables to use.

    For every data set the first of: `directory`; the data set's own environment variable; GEANT4_DATA_DIR; the folder
    where geant4_pybind keeps its downloads. In a directory, the official folder (`G4EMLOW8.8`) goes before one of
    reduced tables (`EMLOW`).

    Args:
        directory: of the configuration; None: the environment decides.
        environment: default that of the process.
        hadronic: also what hadronic physics reads.

    Raises:
        UserError: a data set that is needed and not there.
    """
    environment = os.environ if environment is None else environment
    roots = (
        [environment.get("GEANT4_DATA_DIR", ""), str(_DOWNLOADED.expanduser())] if directory is None else [directory]
    )
    existing = [Path(root).expanduser().resolve() for root in roots if root and Path(root).expanduser().is_dir()]
    if directory is not None and not existing:
        raise UserError(f"simulate.source.tables: there is no directory {directory}")
    folders: dict[str, Path] = {}
    for data_set in DATA_SETS:
        found = _find(data_set, existing, {} if directory is not None else environment)
        if found is None:
            if data_set.needed == "electromagnetic" or (hadronic and data_set.needed == "hadronic"):
                raise UserError(_missing(data_set, directory, hadronic=hadronic))
            found = (existing or [folders["G4LEDATA"].parent])[0]  # must be set, is not read
        folders[data_set.variable] = found
    root = (existing or [folders["G4LEDATA"].parent])[0]
    return Tables(root, folders, find_substitutes(folders, hadronic=hadronic))


def _find(data_set: DataSet, roots: list[Path], environment: Mapping[str, str]) -> Path | None:
    if environment.get(data_set.variable):
        folder = Path(environment[data_set.variable]).expanduser()
        if not folder.is_dir():
            raise UserError(f"the environment variable {data_set.variable} names {folder}, which is not a directory")
        return folder.resolve()
    for root in roots:
        official = sorted(path for path in root.glob(f"{data_set.official}[0-9]*") if path.is_dir())
        plain = root / data_set.plain
        if official or plain.is_dir():
            return official[-1] if official else plain
    return None


def _missing(data_set: DataSet, directory: str | None, *, hadronic: bool) -> str:
    where = f"in {directory}" if directory is not None else f"(neither {data_set.variable} nor GEANT4_DATA_DIR has it)"
    cure = ", or ask for `physics: electromagnetic`" if hadronic and data_set.needed == "hadronic" else ""
    return (
        f"Geant4's data set {data_set.official} was not found {where}; set {data_set.variable} to its folder, or "
        f"GEANT4_DATA_DIR (or the key `tables`) to a directory that holds {data_set.official}<version> or "
        f"{data_set.plain}{cure}. Official data sets: https://cern.ch/geant4-data/datasets. See docs/simulation.md"
    )

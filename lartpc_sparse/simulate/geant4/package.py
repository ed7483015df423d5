"""The package `geant4_pybind`, imported without its question about downloads."""

from __future__ import annotations

import importlib
import importlib.util
import os
from importlib.metadata import version
from typing import Any

from lartpc_sparse.schema import UserError
from lartpc_sparse.simulate.geant4.tables import Tables

__all__ = ["load_geant4", "package_version"]

_NAME = "geant4_pybind"


def load_geant4(tables: Tables) -> Any:
    """The module, with the environment set so that Geant4 finds these tables.

    Without GEANT4_DATA_DIR the import would ask on the terminal for a download of gigabytes, or start it at once where
    the variable CI is set. Geant4 reads the variables itself, so they must be those of the process.

    Raises:
        UserError: the package is not installed or does not work here.
    """
    if importlib.util.find_spec(_NAME) is None:
        raise UserError("kind geant4 needs the package geant4-pybind: pip install 'lartpc-sparse[geant4]'")
    os.environ.update(tables.environment())
    try:
        return importlib.import_module(_NAME)
    except ImportError as error:
        raise UserError(f"geant4-pybind is installed but cannot be imported ({error}); install it again") from error


def package_version() -> str:
    """Version of geant4-pybind."""
    return version(_NAME)

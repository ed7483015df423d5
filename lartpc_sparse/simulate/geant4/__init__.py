"""Events simulated by Geant4 through the optional package `geant4-pybind`; importing this does not import it."""

from lartpc_sparse.simulate.geant4.config import Geant4Config

__all__ = ["Geant4Config"]

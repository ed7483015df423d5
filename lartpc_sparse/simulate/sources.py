"""The sources of events that a chain can name."""

from __future__ import annotations

from typing import Annotated

from lartpc_sparse.schema import OneOf
from lartpc_sparse.simulate.base import SourceConfig
from lartpc_sparse.simulate.camera import CameraConfig
from lartpc_sparse.simulate.geant4 import Geant4Config
from lartpc_sparse.simulate.wire_planes import WirePlanesConfig

__all__ = ["SourceField"]

SourceField = Annotated[SourceConfig, OneOf(Geant4Config, WirePlanesConfig, CameraConfig)]

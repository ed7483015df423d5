"""Wire-plane images of 3D events. Contents; each name lives in its file."""

from lartpc_sparse.simulate.wire_planes.source import WirePlanes, WirePlanesConfig

__all__ = ["WirePlanes", "WirePlanesConfig"]

"""Regions of the image that give no signal, as geometry: which boxes of voxels are missing. One kind a file."""

from typing import Annotated

from lartpc_sparse.data.regions.base import RegionConfig, box_of_voxel
from lartpc_sparse.data.regions.boxes import BoxesConfig
from lartpc_sparse.data.regions.channels import ChipsConfig, DeadChannelsConfig
from lartpc_sparse.data.regions.detector import DetectorGapsConfig, Geometry, geometry_names
from lartpc_sparse.data.regions.slabs import SlabsConfig
from lartpc_sparse.schema import OneOf

__all__ = [
    "BoxesConfig",
    "ChipsConfig",
    "DeadChannelsConfig",
    "DetectorGapsConfig",
    "Geometry",
    "RegionConfig",
    "RegionField",
    "SlabsConfig",
    "box_of_voxel",
    "geometry_names",
]

RegionField = Annotated[
    RegionConfig, OneOf(BoxesConfig, SlabsConfig, DeadChannelsConfig, ChipsConfig, DetectorGapsConfig)
]

"""Readers: one file format a module, all behind `Reader`."""

from lartpc_sparse.data.readers.base import Reader, ReaderConfig
from lartpc_sparse.data.readers.columns import ColumnsConfig, ColumnsReader
from lartpc_sparse.data.readers.larcv_hdf5 import LarcvHdf5Config
from lartpc_sparse.data.readers.larcv_reader import LarcvReader
from lartpc_sparse.data.readers.larcv_root import LarcvRootConfig
from lartpc_sparse.data.readers.lardrip import LardripConfig, LardripReader
from lartpc_sparse.data.readers.pilarnet import PilarnetConfig, PilarnetReader
from lartpc_sparse.data.readers.sample import SampleConfig
from lartpc_sparse.data.readers.spine import SpineConfig, SpineReader
from lartpc_sparse.data.readers.voxels import VoxelsConfig, VoxelsReader

__all__ = [
    "ColumnsConfig",
    "ColumnsReader",
    "LarcvHdf5Config",
    "LarcvReader",
    "LarcvRootConfig",
    "LardripConfig",
    "LardripReader",
    "PilarnetConfig",
    "PilarnetReader",
    "Reader",
    "ReaderConfig",
    "SampleConfig",
    "SpineConfig",
    "SpineReader",
    "VoxelsConfig",
    "VoxelsReader",
]

"""Reconstruction of liquid-argon TPC images as sparse voxels."""

from lartpc_sparse.provenance import __version__

__all__ = ["__version__"]

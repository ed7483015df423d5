"""Sparse convolution engines behind one seam."""

from lartpc_sparse.sparse.engines.base import Engine
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine

__all__ = ["Engine", "TorchEngine"]

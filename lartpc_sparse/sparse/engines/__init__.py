"""Sparse convolution engines behind one seam."""

from lartpc_sparse.sparse.engines.base import Engine
from lartpc_sparse.sparse.engines.registry import EngineChoice, EngineName, choose_engine, emulates_bf16
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine

__all__ = ["Engine", "EngineChoice", "EngineName", "TorchEngine", "choose_engine", "emulates_bf16"]

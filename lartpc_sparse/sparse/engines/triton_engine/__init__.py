"""The Triton engine: fused gather-GEMM kernels for NVIDIA GPUs of compute capability 8.0 and newer.

Nothing here imports Triton before a convolution runs, so the package can be imported anywhere.
"""

from lartpc_sparse.sparse.engines.triton_engine.availability import reason_unavailable
from lartpc_sparse.sparse.engines.triton_engine.engine import TritonEngine

__all__ = ["TritonEngine", "reason_unavailable"]

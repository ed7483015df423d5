"""The sparse voxel core: tensors, plans, operations and layers, in D = 1 to 4 axes."""

from lartpc_sparse.sparse.engines import Engine, EngineChoice, EngineName, TorchEngine, choose_engine
from lartpc_sparse.sparse.kernel import kernel_offsets
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.layers import (
    BatchNorm,
    FeatureLayer,
    NormActivation,
    PointwiseConv,
    Pool,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
    is_hooked,
)
from lartpc_sparse.sparse.level import Level
from lartpc_sparse.sparse.operations import apply_to_feats, concatenate
from lartpc_sparse.sparse.plan import Plan
from lartpc_sparse.sparse.residual import is_residual
from lartpc_sparse.sparse.tensor import SparseTensor

__all__ = [
    "BatchNorm",
    "Engine",
    "EngineChoice",
    "EngineName",
    "FeatureLayer",
    "KernelMap",
    "Level",
    "NormActivation",
    "Plan",
    "PointwiseConv",
    "Pool",
    "SparseTensor",
    "StridedConv",
    "SubmanifoldConv",
    "TorchEngine",
    "TransposedConv",
    "apply_to_feats",
    "choose_engine",
    "concatenate",
    "is_hooked",
    "is_residual",
    "kernel_offsets",
]

"""Pluggable heads: one file a task."""

from lartpc_sparse.heads.base import Decoded, Evaluator, Head, HeadConfig, SemanticLabels
from lartpc_sparse.heads.inpaint import InpaintConfig, InpaintHead
from lartpc_sparse.heads.semantic import SemanticConfig, SemanticHead
from lartpc_sparse.heads.signal import SignalConfig, SignalHead
from lartpc_sparse.heads.spatial_embedding import SpatialEmbeddingConfig, SpatialEmbeddingHead, normalised_coordinates
from lartpc_sparse.heads.voxel_graph import VoxelGraphConfig, VoxelGraphHead

__all__ = [
    "Decoded",
    "Evaluator",
    "Head",
    "HeadConfig",
    "InpaintConfig",
    "InpaintHead",
    "SemanticConfig",
    "SemanticHead",
    "SemanticLabels",
    "SignalConfig",
    "SignalHead",
    "SpatialEmbeddingConfig",
    "SpatialEmbeddingHead",
    "VoxelGraphConfig",
    "VoxelGraphHead",
    "normalised_coordinates",
]

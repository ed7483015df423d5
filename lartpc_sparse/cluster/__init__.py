"""Algorithms that turn voxels or embeddings into clusters."""

from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.cluster.dbscan import dbscan
from lartpc_sparse.cluster.spatial_embedding import (
    ClusterThresholds,
    Leftover,
    decode_by_class,
    decode_embedding,
)
from lartpc_sparse.cluster.voxel_graph import agglomerate, near_pairs

__all__ = [
    "ClusterThresholds",
    "Leftover",
    "agglomerate",
    "connected_components",
    "dbscan",
    "decode_by_class",
    "decode_embedding",
    "near_pairs",
]

"""Algorithms that turn voxels or embeddings into clusters."""

from lartpc_sparse.cluster.absorb_small import AbsorbSmallConfig, absorb_small
from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.cluster.dbscan import dbscan
from lartpc_sparse.cluster.decode_in_groups import decode_in_groups
from lartpc_sparse.cluster.directions import cluster_ends, local_directions
from lartpc_sparse.cluster.join_collinear import JoinCollinearConfig, join_collinear
from lartpc_sparse.cluster.numbering import numbered_by_first
from lartpc_sparse.cluster.refine import RefinementField, refine_clusters
from lartpc_sparse.cluster.refinement import RefinementConfig
from lartpc_sparse.cluster.spatial_embedding import (
    ClusterThresholds,
    Leftover,
    decode_embedding,
)
from lartpc_sparse.cluster.split_unconnected import SplitUnconnectedConfig, split_unconnected
from lartpc_sparse.cluster.voxel_graph import FARTHEST, agglomerate, near_pairs

__all__ = [
    "FARTHEST",
    "AbsorbSmallConfig",
    "ClusterThresholds",
    "JoinCollinearConfig",
    "Leftover",
    "RefinementConfig",
    "RefinementField",
    "SplitUnconnectedConfig",
    "absorb_small",
    "agglomerate",
    "cluster_ends",
    "connected_components",
    "dbscan",
    "decode_embedding",
    "decode_in_groups",
    "join_collinear",
    "local_directions",
    "near_pairs",
    "numbered_by_first",
    "refine_clusters",
    "split_unconnected",
]

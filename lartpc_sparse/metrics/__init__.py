"""Scores of the three tasks: pure functions on numpy arrays, results ready for JSON."""

from lartpc_sparse.metrics.chamfer import chamfer_distance
from lartpc_sparse.metrics.clustering import (
    ClusteringScores,
    adjusted_rand_index,
    clustering_scores,
    contingency,
    efficiency,
    purity,
    summarise_clustering,
    symmetric_best_dice,
)
from lartpc_sparse.metrics.inpainting import (
    GapResult,
    GapScore,
    count_voxels,
    inpainting_scores,
    inpainting_summary,
    score_gap,
)
from lartpc_sparse.metrics.segmentation import (
    accuracy,
    confusion_matrix,
    segmentation_scores,
    track_shower_confusion,
)
from lartpc_sparse.metrics.voxel_counts import TolerantCounts, VoxelCounts, count_tolerant

__all__ = [
    "ClusteringScores",
    "GapResult",
    "GapScore",
    "TolerantCounts",
    "VoxelCounts",
    "accuracy",
    "adjusted_rand_index",
    "chamfer_distance",
    "clustering_scores",
    "confusion_matrix",
    "contingency",
    "count_tolerant",
    "count_voxels",
    "efficiency",
    "inpainting_scores",
    "inpainting_summary",
    "purity",
    "score_gap",
    "segmentation_scores",
    "summarise_clustering",
    "symmetric_best_dice",
    "track_shower_confusion",
]

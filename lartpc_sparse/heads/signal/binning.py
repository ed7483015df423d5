"""Whether clusters, classical chain and images agree on how many sensor pixels make one pixel."""

from __future__ import annotations

import math

from lartpc_sparse.cluster.pixels import PixelClusteringConfig
from lartpc_sparse.heads.signal.evaluation import SignalEvaluationConfig

__all__ = ["binning_conflict"]


def binning_conflict(
    name: str, clusters: PixelClusteringConfig, evaluation: SignalEvaluationConfig, factor: int
) -> str | None:
    """What disagrees with images that are rebinned by `factor`, for an error; None when all is well.

    Args:
        name: of the head.
        clusters: of the network's selection.
        evaluation: with the classical chain, which makes images of its own.
        factor: sensor pixels along each axis of a pixel of the images.
    """
    classical = evaluation.classical
    made = {"clusters": clusters.binning}
    if classical is not None:
        made["evaluate.classical.clusters"] = classical.clusters.binning
        made["evaluate.classical.preprocess"] = math.prod(getattr(step, "factor", 1) for step in classical.preprocess)
    for part, value in made.items():
        if value != factor:
            return f"heads.{name}.{part} has binning {value}, but the reader rebins by {factor}; make them agree"
    return None

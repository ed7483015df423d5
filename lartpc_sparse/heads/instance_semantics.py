"""The classes by which heads that find instances cluster: predicted ones, true ones, or both."""

from __future__ import annotations

import numpy as np

from lartpc_sparse.data.batch import Batch
from lartpc_sparse.heads.base import SemanticLabels
from lartpc_sparse.schema import UserError

__all__ = ["semantic_sources"]


def semantic_sources(kind: str, batch: Batch, semantic: SemanticLabels | None) -> dict[str, SemanticLabels]:
    """Column of the predictions -> classes of the voxels of a batch.

    `cluster` with the classes of the network's semantic head, `cluster_true_semantics` with the true ones.

    Args:
        kind: of the head that asks, for the error.
        batch: the voxels.
        semantic: what a semantic head of the same network has decoded.

    Raises:
        UserError: neither a semantic head nor true semantics say what class a voxel has.
    """
    sources: dict[str, SemanticLabels] = {}
    if semantic is not None:
        sources["cluster"] = semantic
    if "semantic" in batch.labels:
        truth = batch.labels["semantic"].cpu().numpy().astype(np.int64)
        sources["cluster_true_semantics"] = SemanticLabels(truth, batch.classes)
    if not sources:
        raise UserError(
            f"the {kind} head clusters class by class, but the model has no semantic head and the events no semantic "
            "truth; add a head of kind semantic to model.heads"
        )
    return sources

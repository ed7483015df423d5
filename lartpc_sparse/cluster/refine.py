"""The refinements that a chain may choose, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Int32, Int64

from lartpc_sparse.cluster.absorb_small import AbsorbSmallConfig
from lartpc_sparse.cluster.join_collinear import JoinCollinearConfig
from lartpc_sparse.cluster.refinement import RefinementConfig
from lartpc_sparse.cluster.split_unconnected import SplitUnconnectedConfig
from lartpc_sparse.schema import OneOf

__all__ = ["RefinementField", "refine_clusters"]

RefinementField = Annotated[RefinementConfig, OneOf(SplitUnconnectedConfig, AbsorbSmallConfig, JoinCollinearConfig)]


def refine_clusters(
    coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"], refinements: Sequence[RefinementConfig]
) -> Int64[np.ndarray, " N"]:
    """The clusters of one event and class after all refinements, in their order.

    Args:
        coords: voxel index.
        clusters: of each voxel, -1 for none; -1 stays -1.
        refinements: none returns the clusters as they are.
    """
    for refinement in refinements:
        clusters = refinement.refine(coords, clusters)
    return clusters

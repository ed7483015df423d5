"""What a chain may do with the clusters of an event and class after their decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Int32, Int64

from lartpc_sparse.schema import PartConfig

__all__ = ["RefinementConfig"]


class RefinementConfig(PartConfig, ABC):
    """Base of the refinements."""

    @abstractmethod
    def refine(self, coords: Int32[np.ndarray, "N D"], clusters: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
        """The clusters of one event and class as this refinement leaves them.

        Args:
            coords: voxel index.
            clusters: of each voxel, -1 for none; -1 stays -1.

        Returns:
            Clusters 0..K-1 in the order of their first voxels.
        """

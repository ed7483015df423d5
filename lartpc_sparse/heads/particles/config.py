"""How clusters become particles: a choice by `kind`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int8, Int32, Int64

from lartpc_sparse.cluster.particles import BuildConfig, Particles, build_particles
from lartpc_sparse.schema import PartConfig

__all__ = ["GeometricParticlesConfig", "ParticlesConfig"]


class ParticlesConfig(PartConfig, ABC):
    """Base of the ways to make particles."""

    @abstractmethod
    def find(
        self,
        coords: Int32[np.ndarray, "N D"],
        energy: Float32[np.ndarray, " N"],
        cluster: Int64[np.ndarray, " N"],
        semantic: Int8[np.ndarray, " N"],
        classes: Sequence[str],
    ) -> Particles:
        """Particles of an event.

        Args:
            coords: voxel index.
            energy: MeV, or the detector's units in 2D.
            cluster: id of each voxel's cluster, -1 none.
            semantic: class of each voxel, number in `classes`, -1 none.
            classes: names.
        """


class GeometricParticlesConfig(BuildConfig, ParticlesConfig):
    """Shower fragments by angle and distance, interactions by touching and pointing; nothing is learned."""

    kind: Literal["geometric"] = "geometric"

    def find(
        self,
        coords: Int32[np.ndarray, "N D"],
        energy: Float32[np.ndarray, " N"],
        cluster: Int64[np.ndarray, " N"],
        semantic: Int8[np.ndarray, " N"],
        classes: Sequence[str],
    ) -> Particles:
        """See `ParticlesConfig.find`."""
        return build_particles(coords, energy, cluster, semantic, classes=classes, config=self)

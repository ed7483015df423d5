"""What is measured of the heads that find instances: baselines, cuts, bins of the curves, intervals."""

from __future__ import annotations

from pydantic import Field

from lartpc_sparse.heads.semantic_evaluation import Edges
from lartpc_sparse.schema import Config

__all__ = ["DbscanBaseline", "InstanceEvaluationConfig", "ParticleBins"]


class DbscanBaseline(Config):
    """DBSCAN of the voxels of each class."""

    eps: float = Field(3.0, gt=0, description="neighbours lie within this distance, voxels")
    min_samples: int = Field(1, ge=1, description="a core voxel has at least so many neighbours, itself included")


class ParticleBins(Config):
    """Edges of the bins of the curves; values below the first and from the last on have bins too. [] leaves one out."""

    multiplicity: Edges = Field(
        (2, 3, 4, 5, 6, 8, 10, 15, 20, 30), description="true clusters of the class in the event"
    )
    size: Edges = Field((5, 10, 20, 50, 100, 200, 500, 1000, 2000), description="voxels of the true cluster")
    angle: Edges = Field(
        (5, 10, 20, 30, 45, 60, 90, 120, 150, 170),
        description="smallest angle between the cluster and those of its class that touch it, degrees",
    )


class InstanceEvaluationConfig(Config):
    """Options of `InstanceEvaluator`; they change nothing in training and prediction."""

    bins: ParticleBins = ParticleBins()
    cut: float = Field(
        0.92,
        ge=0,
        lt=1,
        description="a particle is well found when its score is above this (arXiv:2007.03083: ARI .92)",
    )
    cuts: tuple[float, ...] = Field(
        (0.5, 0.7, 0.8, 0.9, 0.95, 0.99), description="further cuts for which the shares of particles are listed"
    )
    angle_classes: tuple[str, ...] = Field(("track",), description="classes whose touching clusters have an angle")
    angle_radius: float = Field(10.0, gt=0, description="voxels around the common point that give a direction, voxels")
    dbscan: DbscanBaseline | None = Field(DbscanBaseline(), description="the second baseline; null: leave it out")
    bootstrap: int = Field(
        1000, ge=0, le=100_000, description="sets of resampled events for intervals; 0: no intervals"
    )
    seed: int = Field(0, ge=0, description="of the resampling")

"""What is measured of a semantic head: bins of the curves, intervals, subsets of the events."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat

from lartpc_sparse.schema import Config

__all__ = ["CurveBins", "Edges", "SemanticEvaluationConfig"]


def _increasing(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(high <= low for low, high in pairwise(edges)):
        raise ValueError(f"bin edges must increase, got {list(edges)}")
    return edges


Edges = Annotated[tuple[FiniteFloat, ...], AfterValidator(_increasing)]

_ENERGY = {
    2: (15.0, 20.0, 30.0, 40.0, 50.0, 70.0, 100.0, 150.0, 200.0, 300.0),
    3: (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0),
}


class CurveBins(Config):
    """Edges of the bins of the curves; values below the first and above the last have bins too. [] leaves one out."""

    energy: Edges | None = Field(
        None, description="energy of the voxel, MeV (3D) or intensity (2D); null: 0.1 to 5 MeV, 15 to 300 in 2D"
    )
    event_voxels: Edges = Field((300, 1000, 2000, 3000, 5000, 10000, 30000), description="voxels of the event")
    cluster_size: Edges = Field(
        (5, 10, 20, 50, 100, 200, 500, 1000, 2000), description="voxels of the voxel's true cluster"
    )
    vertex_distance: Edges = Field(
        (3, 10, 20, 50, 100, 200, 400), description="distance to the nearest interaction vertex, voxels"
    )
    other_class_distance: Edges = Field(
        (1.1, 1.8, 3, 5, 10, 20, 50), description="distance to the nearest voxel of another true class, voxels"
    )

    def energy_edges(self, dim: int) -> tuple[float, ...]:
        """Edges of the energy for images of `dim` axes."""
        return _ENERGY[dim] if self.energy is None else self.energy


class SemanticEvaluationConfig(Config):
    """Options of `SemanticEvaluator`; they change nothing in training and prediction."""

    bins: CurveBins = CurveBins()
    calibration_bins: int = Field(15, ge=2, le=200, description="equal bins of the scores from 0 to 1")
    bootstrap: int = Field(
        1000, ge=0, le=100_000, description="sets of resampled events for intervals; 0: no intervals"
    )
    seed: int = Field(0, ge=0, description="of the resampling")
    subsets: dict[str, str] = Field(
        {},
        description="name -> pattern of the event's file, such as `*nue*`: parts of the sample, scored apart",
    )
    dropped: Literal["wrong", "left_out"] = Field(
        "wrong",
        description="labelled voxels that a transform removed before the network (a threshold): wrong, or not counted",
    )

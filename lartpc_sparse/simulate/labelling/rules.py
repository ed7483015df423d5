"""How small things may be."""

from __future__ import annotations

from pydantic import Field

from lartpc_sparse.schema import Config

__all__ = ["LabelRules"]


class LabelRules(Config):
    """Thresholds of the labels; the defaults follow Supera, which labelled PILArNet."""

    min_mev: float = Field(0.05, ge=0, description="voxels below it are dropped, MeV")
    min_track: int = Field(3, ge=1, description="voxels of the smallest track")
    min_michel: int = Field(3, ge=1, description="voxels of the smallest Michel electron")
    min_delta: int = Field(
        3, ge=1, description="voxels of a delta ray outside its parent; a smaller one belongs to the parent"
    )
    min_shower: int = Field(10, ge=1, description="voxels of the smallest shower fragment; the rest is low energy")

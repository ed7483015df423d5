"""What the configurations of the larcv readers have in common."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from lartpc_sparse.data.readers.files import FileReaderConfig
from lartpc_sparse.data.readers.larcv_products import Image

__all__ = ["LarcvConfig"]

Scheme = Literal["auto", "larcv_shapes", "fivetypes"]
_PRODUCT = "with or without its kind (`sparse3d_data` or `data`); auto: the only one that fits"


class LarcvConfig(FileReaderConfig):
    """What the readers of larcv files have in common."""

    image: Image = Field(
        default="auto",
        description="kind of product that holds the charge; cluster3d: the union of its voxel sets; auto: sparse3d if "
        "the file holds one, else the only kind that it holds",
    )
    energy: str = Field(default="auto", description=f"product of the charge, {_PRODUCT}")
    semantic: str | None = Field(default="auto", description=f"product of the classes, {_PRODUCT}, if any; null: none")
    clusters: str | None = Field(default="auto", description=f"voxel sets of the particles, {_PRODUCT}; null: none")
    particles: str | None = Field(default="auto", description=f"particle table, {_PRODUCT}; null: none")
    classes: Scheme | tuple[str, ...] = Field(
        default="auto",
        description="names of the values 0, 1, ... of the class product. larcv_shapes: shower, track, Michel, delta, "
        "low_energy, ghost, unknown; fivetypes: HIP, MIP, shower, delta, Michel; auto: fivetypes if the product's "
        "name says so, else larcv_shapes",
    )
    split_tracks: Literal["auto"] | bool = Field(
        default="auto",
        description="make HIP (proton) and MIP (muon, pion) of the class track by the particle's PDG code; tracks of "
        "other particles are not labelled; auto: when clusters and particles are read",
    )
    unmatched: Literal["error", "unlabelled"] = Field(
        default="error", description="what to do with a voxel that the class product lacks"
    )
    projection: int = Field(default=0, ge=0, description="2D images: which plane (projection id)")

    def counted_by(self) -> str:
        """Kind of reader and the options that numbers of events and voxels depend on, besides the products."""
        return json.dumps(self.model_dump(mode="json", include={"kind", "projection", "threshold"}))

"""The events that come with the package: 400 Geant4 events in three splits."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal, get_args

from pydantic import Field

from lartpc_sparse.data.readers.base import ReaderConfig
from lartpc_sparse.data.readers.voxels import VoxelsConfig, VoxelsReader

__all__ = ["SampleConfig", "sample_file"]

Split = Literal["train", "validation", "test"]


def sample_file(split: Split) -> str:
    """Path of the packaged file of a split."""
    return str(files("lartpc_sparse") / "data" / "sample" / f"{split}.h5")


class SampleConfig(ReaderConfig):
    """The packaged sample: 320 train, 40 validation, 40 test events; see `data/sample/README.md`."""

    kind: Literal["sample"] = "sample"
    split: Split | Literal["all"] = Field(
        default="train", description="which of the three files; all: one after the other, 0-319, 320-359, 360-399"
    )
    select: tuple[int, int] | None = Field(default=None, description="use the events start..stop-1")
    limit: int | None = Field(default=None, gt=0, description="use the first n events")
    labels: tuple[str, ...] | None = Field(default=None, description="label columns to read; all by default")
    particles: bool = Field(default=True, description="read the particle table")

    def build(self) -> VoxelsReader:
        """Open the file of the split, or all three.

        Raises:
            UserError: the package was installed without its data.
        """
        splits = get_args(Split) if self.split == "all" else (self.split,)
        return VoxelsConfig(
            files=tuple(sample_file(split) for split in splits),
            select=self.select,
            limit=self.limit,
            labels=self.labels,
            particles=self.particles,
        ).build()

"""Reader of larcv3 files (HDF5), and of those that this project writes; needs no larcv."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field, model_validator

from lartpc_sparse.data.readers.base import Reader
from lartpc_sparse.data.readers.files import resolve_files
from lartpc_sparse.data.readers.larcv_config import LarcvConfig
from lartpc_sparse.data.readers.larcv_hdf5_file import Hdf5File
from lartpc_sparse.data.readers.larcv_own import LarcvOwnReader, has_own_group
from lartpc_sparse.data.readers.larcv_reader import LarcvReader

__all__ = ["LarcvHdf5Config"]

_OF_LARCV = (
    "image",
    "energy",
    "semantic",
    "clusters",
    "particles",
    "classes",
    "split_tracks",
    "unmatched",
    "projection",
)


class LarcvHdf5Config(LarcvConfig):
    """larcv3 files (HDF5), read without larcv."""

    kind: Literal["larcv_hdf5"] = "larcv_hdf5"
    image: Literal["auto", "sparse3d", "sparse2d", "cluster3d"] = Field(
        default="auto",
        description="kind of product that holds the charge; cluster3d: the union of its voxel sets; auto: sparse3d if "
        "the file holds one, else the only kind that it holds",
    )
    layout: Literal["auto", "larcv", "lartpc_sparse"] = Field(
        default="auto",
        description="larcv: the products named here; lartpc_sparse: all that this project wrote into the file, bit for "
        "bit; auto: lartpc_sparse if the first file is of this project and no option of larcv products is given",
    )

    @model_validator(mode="after")
    def _check_layout(self) -> LarcvHdf5Config:
        if self.layout == "lartpc_sparse" and self._options_of_larcv():
            raise ValueError(
                f"layout lartpc_sparse takes all products of the file; leave out {', '.join(self._options_of_larcv())}"
            )
        return self

    def _options_of_larcv(self) -> list[str]:
        fields = type(self).model_fields
        return [name for name in _OF_LARCV if getattr(self, name) != fields[name].default]

    def build(self) -> Reader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        files = resolve_files(self.files)
        own = self.layout == "lartpc_sparse"
        if own or (self.layout == "auto" and not self._options_of_larcv() and has_own_group(files[0])):
            return LarcvOwnReader(files, select=self.select, limit=self.limit)
        return LarcvReader(files, partial(Hdf5File, projection=self.projection), self)

"""Reader of larcv2 files (ROOT); needs neither ROOT nor larcv."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field

from lartpc_sparse.data.readers.files import resolve_files
from lartpc_sparse.data.readers.larcv_config import LarcvConfig
from lartpc_sparse.data.readers.larcv_reader import LarcvReader
from lartpc_sparse.data.readers.larcv_root_file import RootFile
from lartpc_sparse.data.readers.root_basket import BasketCache

__all__ = ["LarcvRootConfig"]

_MIB = 1 << 20


class LarcvRootConfig(LarcvConfig):
    """larcv2 files (ROOT), read without ROOT and larcv."""

    kind: Literal["larcv_root"] = "larcv_root"
    threshold: float = Field(default=0.0, description="image2d: pixels above this value are voxels, in the file's unit")
    cache_mib: int = Field(
        default=64, ge=1, description="unpacked data kept in memory for further events, MiB a process"
    )

    def build(self) -> LarcvReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        cache = BasketCache(self.cache_mib * _MIB)
        open_file = partial(RootFile, cache=cache, projection=self.projection, threshold=self.threshold)
        return LarcvReader(resolve_files(self.files), open_file, self)

"""Frames written to HDF5: one data set a frame, named as the experiment names them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import h5py
import hdf5plugin
import numpy as np

from lartpc_sparse.data.attributes import store_attributes
from lartpc_sparse.data.camera.frame_image import FrameCounts
from lartpc_sparse.provenance import provenance

__all__ = ["FRAMES_FORMAT", "FrameWriter"]

FRAMES_FORMAT = "lartpc_sparse.frames"
ORDER = "frames"
"""Data set with the names of the frames in the order in which they were written."""


class FrameWriter:
    """Writes frames one after the other; the file appears at `path` when it is complete.

    Args:
        path: the file; its folder is made if need be.
        image_size: rows and columns, the same for all frames.
        origin: where the frames come from, free text.
        attributes: further attributes of the file.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        image_size: tuple[int, ...],
        origin: str = "",
        attributes: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self._path = Path(path)
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._size = tuple(image_size)
        self._names: list[str] = []
        self._attributes = {
            **(attributes or {}),
            **provenance(),
            "format": FRAMES_FORMAT,
            "image_size": np.array(self._size, dtype=np.int64),
            "origin": origin,
        }

    def __enter__(self) -> FrameWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w", libver=("v110", "v110"))
        store_attributes(self._file, self._attributes)
        return self

    def write(self, frame: FrameCounts) -> None:
        """Add a frame.

        Raises:
            ValueError: another size than the file's, or a name that it has already.
        """
        if frame.counts.shape != self._size:
            raise ValueError(f"{frame.key} has {frame.counts.shape} pixels, {self._path} has {self._size}")
        if frame.name in self._file:
            raise ValueError(f"{frame.key}: {self._path} has a frame {frame.name} already")
        self._file.create_dataset(
            frame.name, data=frame.counts, chunks=(min(256, self._size[0]), self._size[1]), **_COMPRESSION
        )
        self._names.append(frame.name)

    def set_attribute(self, name: str, value: str | int | float) -> None:
        """Add an attribute of the file."""
        store_attributes(self._file, {name: value})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.create_dataset(ORDER, data=np.array(self._names, dtype=h5py.string_dtype()))
        self._file.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)


_COMPRESSION = dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.BITSHUFFLE))

"""The seam for file formats: a reader gives events by index; its configuration builds it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int, Int64, Num

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.schema import BadEventError, PartConfig

__all__ = ["CountsVoxelsMeanwhile", "Reader", "ReaderConfig", "check_energy", "check_semantic", "whole_coords"]


@runtime_checkable
class Reader(Protocol):
    """Random access to the E events of one data set.

    A reader opens its files lazily and separately in every process, and can be pickled, so that it works in
    the workers of a DataLoader however they are started. It is not meant for several threads at once.
    """

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files that are read: a step is repeated when one of them has changed."""
        ...

    @property
    def image_size(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the values 0, 1, ... of `labels["semantic"]`; empty without semantic labels."""
        ...

    def __len__(self) -> int:
        """Number of events E."""
        ...

    def key(self, index: int) -> EventKey:
        """File and entry of an event, without reading it.

        Raises:
            IndexError: index outside 0..E-1.
        """
        ...

    def num_voxels(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every event, as stored in the files; cached."""
        ...

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: the event cannot be used; names file, entry and field.
            UserError: the file cannot be used.
            IndexError: index outside 0..E-1.
        """
        ...


@runtime_checkable
class CountsVoxelsMeanwhile(Protocol):
    """A reader that has to open all files to count voxels, and can let other processes do that."""

    def counting_voxels(self) -> AbstractContextManager[None]:
        """Voxels are counted in the background of a block; at its end `num_voxels` knows them.

        Raises:
            UserError: at the end of the block; see `Reader.num_voxels`.
        """
        ...


class ReaderConfig(PartConfig, ABC):
    """Base of the configurations of readers."""

    @abstractmethod
    def build(self) -> Reader:
        """The reader.

        Raises:
            UserError: files that are missing, damaged, of another format, or that do not fit together.
        """


def whole_coords(key: EventKey, values: Num[np.ndarray, "N D"], image_size: tuple[int, ...]) -> Int[np.ndarray, "N D"]:
    """Voxel indices as int32, checked.

    Raises:
        BadEventError: a value that is not finite, not whole or outside 0..image_size-1.
    """
    if not _surely_inside(values, image_size):
        inside = (values >= 0) & (values < np.array(image_size))  # False for NaN
        if inside.all():
            return _whole(key, values)
        row = int(np.flatnonzero(~inside.all(axis=1))[0])
        raise BadEventError(
            f"{key}: coords of voxel {row} are {values[row].tolist()}, outside the image of size {image_size}"
        )
    return _whole(key, values)


def _surely_inside(values: Num[np.ndarray, "N D"], image_size: tuple[int, ...]) -> bool:
    """One fast pass over whole numbers, read as unsigned so that negative ones are large; False: look closer."""
    dtype = values.dtype
    if dtype.kind not in "iu" or not dtype.isnative or max(image_size) >= 1 << (8 * dtype.itemsize - 1):
        return False
    unsigned = np.ascontiguousarray(values).view(np.dtype(f"u{dtype.itemsize}"))
    if len(set(image_size)) == 1:
        return bool(unsigned.reshape(-1).max(initial=0) < image_size[0])
    return all(unsigned[:, axis].max(initial=0) < size for axis, size in enumerate(image_size))


def _whole(key: EventKey, values: Num[np.ndarray, "N D"]) -> Int[np.ndarray, "N D"]:
    coords = values.astype(np.int32)
    if values.dtype.kind == "f" and not np.array_equal(coords, values):
        row = int(np.flatnonzero((coords != values).any(axis=1))[0])
        raise BadEventError(f"{key}: coords of voxel {row} are {values[row].tolist()}, not whole numbers")
    return coords


def check_energy(key: EventKey, energy: Float32[np.ndarray, " N"]) -> None:
    """Refuse energies that are not finite.

    Raises:
        BadEventError: NaN or infinity.
    """
    good = np.isfinite(energy)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BadEventError(
            f"{key}: energy of voxel {row} is {energy[row]} ({int((~good).sum())} voxels are not finite)"
        )


def check_semantic(key: EventKey, semantic: Int[np.ndarray, " N"], classes: tuple[str, ...]) -> None:
    """Refuse semantic labels without a class name.

    Raises:
        BadEventError: a label outside -1..K-1.
    """
    if len(semantic) and (semantic.min() < -1 or semantic.max() >= len(classes)):
        good = (semantic >= -1) & (semantic < len(classes))
        row = int(np.flatnonzero(~good)[0])
        raise BadEventError(f"{key}: semantic is {semantic[row]} in row {row}, expected -1..{len(classes) - 1}")

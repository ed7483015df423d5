"""Sorted levels and blocked kernel maps that live in the compiled library."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from ctypes import c_int32, c_int64
from functools import cached_property

import torch
from jaxtyping import Int64
from torch import Tensor

from lartpc_sparse.sparse.kernel import kernel_volume
from lartpc_sparse.sparse.kernel_map import KernelMap
from lartpc_sparse.sparse.level import Level
from lartpc_sparse.sparse.native.library import library

__all__ = ["BlockedMap", "BlockedMapHandle", "SortedLevel", "sorted_level"]


def _int32s(values: Sequence[int]) -> object:
    return (c_int32 * len(values))(*values)


class _Handle:
    """A pointer of the library that is freed with this object."""

    def __init__(self, pointer: int | None, free: str) -> None:
        if not pointer:
            raise ValueError(library().error)
        self.pointer = pointer
        weakref.finalize(self, getattr(library(), free), pointer).atexit = False


class SortedLevel(_Handle):
    """The voxels of a level as sorted keys."""

    def __init__(self, pointer: int | None) -> None:
        super().__init__(pointer, "index_free")

    @classmethod
    def of(cls, level: Level) -> SortedLevel:
        """Sorts the voxels of a level.

        Raises:
            ValueError: a coordinate or the number of events does not fit into a packed key; or voxels on another
                device than the CPU, or not int32: the library reads the memory as it is.
        """
        if not level.coords.is_cpu or level.coords.dtype != torch.int32 or level.offsets.dtype != torch.int64:
            raise ValueError(
                f"the cpu engine takes int32 coordinates and int64 offsets on the CPU, not {level.coords.dtype} and "
                f"{level.offsets.dtype} on {level.coords.device}"
            )
        coords, offsets = level.coords.contiguous(), level.offsets.contiguous()
        pointer = library().index_create(
            coords.data_ptr(), offsets.data_ptr(), len(coords), level.dim, level.num_events
        )
        if not pointer:
            _ = level.keys  # the same checks in Python, which name the axis, the value and the limit
        return cls(pointer)

    def __len__(self) -> int:
        return int(library().index_size(self.pointer))

    def duplicates(self) -> tuple[int, int]:
        """Number of voxels that repeat another one, and the row of the first that is repeated."""
        row = c_int64(-1)
        count = library().index_duplicates(self.pointer, row)
        return int(count), row.value

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """The level `step` times coarser, sorted."""
        coarse = SortedLevel(library().index_coarsen(self.pointer, _int32s(step)))
        coords = torch.empty((len(coarse), level.dim), dtype=torch.int32)
        offsets = torch.empty(level.num_events + 1, dtype=torch.int64)
        library().index_export(coarse.pointer, coords.data_ptr(), offsets.data_ptr())
        stride = tuple(have * more for have, more in zip(level.stride, step, strict=True))
        result = Level(coords, offsets, stride)
        result.derived("cpu", lambda _: coarse)
        return result


def sorted_level(level: Level) -> SortedLevel:
    """The sorted form of a level; made once."""
    return level.derived("cpu", SortedLevel.of)


class BlockedMapHandle(_Handle):
    """A kernel map in blocks of output rows."""

    def __init__(self, pointer: int | None) -> None:
        super().__init__(pointer, "map_free")

    @classmethod
    def from_pairs(cls, pairs: KernelMap) -> BlockedMapHandle:
        """Sorts the pairs of any map into blocks."""
        in_index, out_index = pairs.in_index.contiguous(), pairs.out_index.contiguous()
        starts = torch.tensor(pairs.slot_starts)
        pointer = library().map_from_pairs(
            in_index.data_ptr(),
            out_index.data_ptr(),
            starts.data_ptr(),
            pairs.kernel_volume,
            pairs.num_in,
            pairs.num_out,
        )
        return cls(pointer)

    @cached_property
    def transposed(self) -> BlockedMapHandle:
        """Inputs and outputs exchanged, slots kept."""
        return BlockedMapHandle(library().map_transpose(self.pointer))


class BlockedMap(KernelMap):
    """A kernel map whose pairs stay in the library until somebody asks for them.

    Attributes:
        handle: the blocks.
        reversed: slot k of the map is slot K - 1 - k of the handle (the transpose of a submanifold map).
    """

    handle: BlockedMapHandle
    reversed: bool

    def __init__(
        self,
        handle: BlockedMapHandle,
        volume: int,
        num_in: int,
        num_out: int,
        identity_slot: int | None = None,
        *,
        is_reversed: bool = False,
        original: BlockedMap | None = None,
    ) -> None:
        values = {
            "handle": handle,
            "reversed": is_reversed,
            "num_in": num_in,
            "num_out": num_out,
            "identity_slot": identity_slot,
            "_volume": volume,
            "_original": None if original is None else weakref.ref(original),
            "_derived": {},
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def submanifold(cls, level: Level, kernel_size: tuple[int, ...], threads: int) -> BlockedMap:
        """Map from a level to itself."""
        pointer = library().map_submanifold(sorted_level(level).pointer, _int32s(kernel_size), threads)
        volume = kernel_volume(kernel_size)
        return cls(BlockedMapHandle(pointer), volume, len(level), len(level), volume // 2)

    @classmethod
    def strided(
        cls, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...], threads: int
    ) -> BlockedMap:
        """Map from a level to a coarser one."""
        pointer = library().map_strided(
            sorted_level(fine).pointer, sorted_level(coarse).pointer, _int32s(kernel_size), _int32s(step), threads
        )
        return cls(BlockedMapHandle(pointer), kernel_volume(kernel_size), len(fine), len(coarse))

    @property
    def kernel_volume(self) -> int:
        """Number of slots K."""
        return int(self.__dict__["_volume"])

    @cached_property
    def slot_starts(self) -> tuple[int, ...]:
        """Where the pairs of each slot begin, and their number."""
        counts = torch.empty(self.kernel_volume, dtype=torch.int64)
        library().map_count(self.handle.pointer, counts.data_ptr())
        listed: list[int] = counts.tolist()
        return tuple(itertools.accumulate(reversed(listed) if self.reversed else listed, initial=0))

    @cached_property
    def _pairs(self) -> tuple[Int64[Tensor, " P"], Int64[Tensor, " P"]]:
        in_index, out_index = (torch.empty(self.slot_starts[-1], dtype=torch.int64) for _ in range(2))
        library().map_export(self.handle.pointer, in_index.data_ptr(), out_index.data_ptr())
        if not self.reversed:
            return in_index, out_index
        total = self.slot_starts[-1]
        pieces = [slice(total - stop, total - start) for start, stop in itertools.pairwise(self.slot_starts)]
        return torch.cat([in_index[piece] for piece in pieces]), torch.cat([out_index[piece] for piece in pieces])

    @cached_property
    def in_index(self) -> Int64[Tensor, " P"]:
        """Input rows of the pairs, slot after slot."""
        return self._pairs[0]

    @cached_property
    def out_index(self) -> Int64[Tensor, " P"]:
        """Output rows of the pairs, slot after slot."""
        return self._pairs[1]

    @cached_property
    def _mirrored(self) -> BlockedMap:
        submanifold = self.identity_slot is not None
        return BlockedMap(
            self.handle if submanifold else self.handle.transposed,
            self.kernel_volume,
            self.num_out,
            self.num_in,
            self.identity_slot,
            is_reversed=submanifold and not self.reversed,
            original=self,
        )

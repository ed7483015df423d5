"""Kernel maps: which input voxel meets which output voxel under which kernel slot."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Int64
from torch import Tensor

from lartpc_sparse.sparse.coordinates import MARGIN, keys_of, shift_of
from lartpc_sparse.sparse.kernel import axis_offsets, kernel_volume
from lartpc_sparse.sparse.level import Level

__all__ = ["KernelMap", "check_reach", "check_submanifold", "strided_map", "submanifold_map"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class KernelMap:
    """Pairs (input row, output row), grouped by kernel slot; no output row twice in one slot.

    Attributes:
        in_index, out_index: rows of the P pairs, slot after slot.
        slot_starts: K + 1 numbers; the pairs of slot k are `slot_starts[k]:slot_starts[k+1]`.
        num_in, num_out: voxels of the input and of the output level.
        identity_slot: slot whose pairs are (n, n) for every voxel, None when there is none.
    """

    in_index: Int64[Tensor, " P"]
    out_index: Int64[Tensor, " P"]
    slot_starts: tuple[int, ...]
    num_in: int
    num_out: int
    identity_slot: int | None = None
    _original: weakref.ref[KernelMap] | None = field(default=None, repr=False)
    _derived: dict[str, object] = field(default_factory=dict, repr=False)

    def derived(self, key: str, build: Callable[[KernelMap], T]) -> T:
        """What an engine makes of this map (tables, blocks): built when first asked for under `key`, then kept."""
        if key not in self._derived:
            self._derived[key] = build(self)
        return self._derived[key]  # type: ignore[return-value]

    @property
    def kernel_volume(self) -> int:
        """Number of slots K."""
        return len(self.slot_starts) - 1

    def slots(self) -> list[tuple[int, slice]]:
        """(slot, its pairs) of the slots that have any."""
        return [
            (k, slice(start, stop))
            for k, (start, stop) in enumerate(itertools.pairwise(self.slot_starts))
            if stop > start
        ]

    @cached_property
    def slot_index(self) -> Int64[Tensor, " P"]:
        """Kernel slot of each pair."""
        starts = torch.tensor(self.slot_starts, device=self.in_index.device)
        return torch.repeat_interleave(
            torch.arange(self.kernel_volume, device=starts.device),
            starts.diff(),
            output_size=len(self.in_index),
        )

    @property
    def transposed(self) -> KernelMap:
        """The map read backwards: gradients with respect to the input, and transposed convolutions."""
        original = None if self._original is None else self._original()
        return self._mirrored if original is None else original

    @cached_property
    def _mirrored(self) -> KernelMap:
        # The way back is a weak reference: in a cycle, device memory would wait for the garbage collector.
        return KernelMap(
            self.out_index,
            self.in_index,
            self.slot_starts,
            self.num_out,
            self.num_in,
            self.identity_slot,
            weakref.ref(self),
        )

    @cached_property
    def pairs_by_output(self) -> tuple[Int64[Tensor, " P"], Int64[Tensor, " num_out"]]:
        """Pairs ordered by output row, and where each output row begins: sums in a fixed order."""
        order = torch.argsort(self.out_index, stable=True)
        counts = torch.bincount(self.out_index, minlength=self.num_out)
        return order, counts.cumsum(0) - counts


def _matches(
    keys: Int64[Tensor, " M1"], first: Int64[Tensor, " N"], length: int
) -> list[tuple[Int64[Tensor, " P"], Int64[Tensor, " P"]]]:
    """For t = 0 .. length-1: (rank in keys, n) wherever keys holds first[n] + t.

    Keys of voxels that are neighbours along the last axis are consecutive numbers, so one binary search
    serves the whole run: the position only moves on where the previous key was found.
    """
    position = torch.searchsorted(keys, first)
    found = []
    for step in range(length):
        rows = torch.nonzero(keys[position] == first + step).squeeze(1)
        found.append((position[rows], rows))
        position[rows] += 1
    return found


def check_submanifold(kernel_size: tuple[int, ...]) -> None:
    """Whether a submanifold convolution may have this kernel.

    Raises:
        ValueError: an even or too large kernel size.
    """
    if any(size % 2 == 0 for size in kernel_size):
        raise ValueError(f"a submanifold kernel must be odd along every axis, got {kernel_size}")
    check_reach(kernel_size, (1,) * len(kernel_size))


def check_reach(kernel_size: tuple[int, ...], step: tuple[int, ...]) -> None:
    """Whether packed keys have room for what a kernel reaches.

    Raises:
        ValueError: a too large kernel size or step.
    """
    # The corner of a coarse voxel may lie step - 1 below the lowest voxel, and the kernel reaches on from there.
    below = (many - 1 - axis_offsets(size)[0] for size, many in zip(kernel_size, step, strict=True))
    if max(kernel_size) > MARGIN or max(below) > MARGIN:
        raise ValueError(f"kernel_size {kernel_size} with step {step} reaches further than {MARGIN} voxels")


def _join(pairs: Sequence[tuple[Tensor, Tensor]], fine: Level, num_out: int, identity_slot: int | None) -> KernelMap:
    in_index = torch.cat([pair[0] for pair in pairs])
    counts = [len(pair[0]) for pair in pairs]
    return KernelMap(
        in_index,
        torch.cat([pair[1] for pair in pairs]),
        tuple(itertools.accumulate(counts, initial=0)),
        num_in=len(fine),
        num_out=num_out,
        identity_slot=identity_slot,
    )


def submanifold_map(level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
    """Map of a submanifold convolution: output voxels = input voxels (arXiv:1711.10275).

    Half of the slots are searched; the others are their mirror images.

    Raises:
        ValueError: an even or too large kernel size.
    """
    check_submanifold(kernel_size)
    *leading, last = kernel_size
    run = axis_offsets(last)
    volume = kernel_volume(kernel_size)
    centre = volume // 2
    pairs: list[tuple[Tensor, Tensor]] = []
    for prefix in itertools.product(*(axis_offsets(size) for size in leading)):
        length = min(last, centre - len(pairs))  # the run through the centre is searched up to it
        if length <= 0:
            break
        first = level.keys + shift_of((*prefix, run[0]))
        for rank, rows in _matches(level.sorted_keys, first, length):
            pairs.append((rank if level.row_of_rank is None else level.row_of_rank[rank], rows))
    everything = torch.arange(len(level), device=level.coords.device)
    mirrored = [(rows, found) for found, rows in reversed(pairs)]
    return _join([*pairs, (everything, everything), *mirrored], level, len(level), identity_slot=centre)


def strided_map(fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
    """Map from `fine` to `coarse`: out[q] meets in[step * q + offset_k].

    Raises:
        ValueError: a too large kernel size or step.
    """
    check_reach(kernel_size, step)
    *leading, last = kernel_size
    run = axis_offsets(last)
    corner = coarse.coords * torch.tensor(step, dtype=torch.int32, device=coarse.coords.device)
    keys = keys_of(corner, coarse.batch_index)
    pairs: list[tuple[Tensor, Tensor]] = []
    for prefix in itertools.product(*(axis_offsets(size) for size in leading)):
        first = keys + shift_of((*prefix, run[0]))
        for rank, rows in _matches(fine.sorted_keys, first, last):
            pairs.append((rank if fine.row_of_rank is None else fine.row_of_rank[rank], rows))
    return _join(pairs, fine, len(coarse), identity_slot=None)

"""The pairs of a map cut into chunks of one slot each, for sums in a fixed order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from jaxtyping import Int64
from torch import Tensor

from lartpc_sparse.sparse.kernel_map import KernelMap

__all__ = ["PairChunking", "PairChunks", "chunk_size"]

WANTED_PROGRAMS = 2048
"""Enough to keep the largest GPU busy for several waves; a constant, so that sums do not depend on the GPU."""


@dataclass(frozen=True, eq=False)
class PairChunks:
    """Chunks in the order of the slots.

    Attributes:
        start, stop: pairs of each chunk.
        of_slot: the chunks of slot k are `of_slot[k]:of_slot[k+1]`.
    """

    start: Int64[Tensor, " chunks"]
    stop: Int64[Tensor, " chunks"]
    of_slot: Int64[Tensor, " K1"]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, eq=False)
class PairChunking:
    """Chunks of one map by their size; built when first asked for, then kept."""

    slot_starts: tuple[int, ...]
    device: torch.device
    _chunks: dict[int, PairChunks] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, kernel_map: KernelMap) -> PairChunking:
        """The chunks of a map, kept on it."""
        return kernel_map.derived("triton chunks", lambda m: PairChunking(m.slot_starts, m.in_index.device))

    def chunks(self, size: int) -> PairChunks:
        """Chunks of at most `size` pairs."""
        if size not in self._chunks:
            self._chunks[size] = self._cut(size)
        return self._chunks[size]

    def _cut(self, size: int) -> PairChunks:
        cuts = [
            [(first, min(first + size, stop)) for first in range(start, stop, size)]
            for start, stop in itertools.pairwise(self.slot_starts)
        ]
        pairs = torch.tensor([cut for slot in cuts for cut in slot], dtype=torch.int64).reshape(-1, 2).to(self.device)
        of_slot = torch.tensor(list(itertools.accumulate((len(slot) for slot in cuts), initial=0)), device=self.device)
        return PairChunks(pairs[:, 0].contiguous(), pairs[:, 1].contiguous(), of_slot)


def chunk_size(num_pairs: int, num_tiles: int) -> int:
    """Pairs a program sums when the weight of one slot takes `num_tiles` programs: a power of two, 256 to 16384."""
    wanted = num_pairs * num_tiles // WANTED_PROGRAMS
    return min(max(256, 1 << max(wanted - 1, 0).bit_length()), 16384)

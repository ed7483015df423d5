"""How large the tiles of a kernel are: a safe choice, and the choices worth timing."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lartpc_sparse.sparse.engines.triton_engine.gather_table import ROW_QUANTUM

__all__ = ["TileConfig", "TileProblem"]

_SMALLEST = 16  # of a tensor-core product


@dataclass(frozen=True)
class TileConfig:
    """Sizes of one program: an output tile of block_m x block_n, summed in steps of block_k.

    Raises:
        ValueError: a block that is no power of two from 16 to 512.
    """

    block_m: int
    block_n: int
    block_k: int
    num_warps: int
    num_stages: int

    def __post_init__(self) -> None:
        for block in (self.block_m, self.block_n, self.block_k):
            if not _SMALLEST <= block <= ROW_QUANTUM or block & (block - 1):
                raise ValueError(f"a block is a power of two from {_SMALLEST} to {ROW_QUANTUM}, got {self}")
        if min(self.num_warps, self.num_stages) < 1 or self.num_warps & (self.num_warps - 1):
            raise ValueError(f"num_warps is a power of two and num_stages at least 1, got {self}")


@dataclass(frozen=True)
class TileProblem:
    """What the best tiles depend on.

    Attributes:
        name: "forward", "data gradient" or "weight gradient".
        rows: output rows; for the weight gradient, pairs.
        c_in, c_out: channels read and written; for the weight gradient, those of the weight.
        kernel_volume: slots K.
        dtype: number format of the features.
        precision: of products of float32, "ieee" or "tf32".
    """

    name: str
    rows: int
    c_in: int
    c_out: int
    kernel_volume: int
    dtype: torch.dtype
    precision: str

    @property
    def key(self) -> str:
        """Problems of one key share their tiles: rows count by powers of two."""
        number = str(self.dtype).removeprefix("torch.")
        return (
            f"{self.name} {number} {self.precision} {self.c_in}x{self.c_out} K{self.kernel_volume} "
            f"2^{self.rows.bit_length()}"
        )

    def default(self) -> TileConfig:
        """Tiles that fit every GPU of compute capability 8.0 and newer: at most 48 KiB of shared memory."""
        return self.candidates()[0]

    def candidates(self) -> list[TileConfig]:
        """Tiles worth timing, the default first; float64, for checks only, is not worth it."""
        shapes = self._weight_gradient_shapes() if self.name == "weight gradient" else self._gather_shapes()
        # A load whose address is itself loaded takes a stage for each: slot, row, features; or pair, features.
        # With one stage more each is one step ahead of its use, with twice as many two steps.
        chain = 2 if self.name == "weight gradient" else 3
        stages = (chain + 1, 2 * chain + 1) if self.dtype.itemsize < 8 else (chain + 1,)
        return [
            TileConfig(*shape, num_warps=8 if shape[0] * shape[1] > 64 * 64 else 4, num_stages=number)
            for number in stages
            for shape in dict.fromkeys(shapes)
        ]

    def _gather_shapes(self) -> list[tuple[int, int, int]]:
        n = _best_blocks(self.c_out, highest={2: 128, 4: 64, 8: 32}[self.dtype.itemsize])
        k = _best_blocks(self.c_in, highest={2: 64, 4: 32, 8: 16}[self.dtype.itemsize], reload=8)[0]
        if self.dtype.itemsize == 8:
            return [(32, n[0], k)]
        return [(64, n[0], k), (32, n[0], k), (128, n[0], k), (64, n[-1], k)]

    def _weight_gradient_shapes(self) -> list[tuple[int, int, int]]:
        highest = {2: 64, 4: 64, 8: 32}[self.dtype.itemsize]
        m, n = _best_blocks(self.c_in, highest), _best_blocks(self.c_out, highest)
        if self.dtype.itemsize == 8:
            return [(m[0], n[0], 16)]
        usual, other = (64, 32) if self.dtype.itemsize == 2 else (32, 64)
        return [(m[0], n[0], usual), (m[0], n[0], other), (m[-1], n[-1], usual)]


def _best_blocks(channels: int, highest: int, reload: int = 32) -> list[int]:
    """Two best blocks for a number of channels: little padding, few passes, each as dear as `reload` channels."""
    blocks = [block for block in (16, 32, 64, 128) if block <= highest]
    return sorted(blocks, key=lambda block: -(-channels // block) * (block + reload))[:2]

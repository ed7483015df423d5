"""Tiles for kernels that are interpreted: as few steps as possible, or exactly those that a test asks for."""

from __future__ import annotations

import torch

from lartpc_sparse.sparse.engines.triton_engine.tile_config import TileConfig, TileProblem
from lartpc_sparse.sparse.engines.triton_engine.tuning import Run, Tuner


def _block(size: int, highest: int) -> int:
    return min(max(16, 1 << (size - 1).bit_length()), highest)


class LargeTiles(Tuner):
    """The interpreter takes milliseconds a step, however little it computes."""

    def choose(self, problem: TileProblem, device: torch.device, run: Run) -> TileConfig:
        rows, c_in, c_out = _block(problem.rows, 512), _block(problem.c_in, 64), _block(problem.c_out, 64)
        sizes = (c_in, c_out, rows) if problem.name == "weight gradient" else (rows, c_out, c_in)
        return TileConfig(*sizes, num_warps=1, num_stages=1)


class GivenTiles(Tuner):
    """The same blocks for every kernel."""

    def __init__(self, *sizes: int) -> None:
        super().__init__()
        self.config = TileConfig(*sizes, num_warps=1, num_stages=1)

    def choose(self, problem: TileProblem, device: torch.device, run: Run) -> TileConfig:
        return self.config

"""Which tiles a kernel runs with: timed once for each shape, or a safe choice where timing would do harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from lartpc_sparse.sparse.engines.triton_engine.availability import interpreting
from lartpc_sparse.sparse.engines.triton_engine.tile_config import TileConfig, TileProblem
from lartpc_sparse.sparse.engines.triton_engine.tuning_cache import TuningCache, cache_file

__all__ = ["Run", "Tuner", "may_time"]

Run = Callable[[TileConfig], None]
Stopwatch = Callable[[Run, TileConfig], float]


def may_time() -> bool:
    """Whether kernels may be timed now.

    Not where the user says no, nor while ranks must stay in step, nor while a CUDA graph is recorded, nor when
    the kernels are interpreted.
    """
    if os.environ.get("LARTPC_SPARSE_AUTOTUNE") == "0" or interpreting():
        return False
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if distributed and torch.distributed.get_world_size() > 1:
        return False
    return not (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing())


def milliseconds(run: Run, config: TileConfig) -> float:
    """Median time of a kernel on the device; infinite when the tiles do not fit it."""
    import triton

    try:
        return float(triton.testing.do_bench(lambda: run(config), warmup=5, rep=25, return_mode="median"))
    except triton.runtime.errors.OutOfResources:
        return float("inf")


def device_and_compiler(device: torch.device) -> str:
    """What else the best tiles depend on: the kind of GPU and the version of Triton."""
    import triton

    return f"{torch.cuda.get_device_name(device)}, Triton {triton.__version__}"


@dataclass(eq=False)
class Tuner:
    """Chooses tiles and remembers the choice, in the process and on disk.

    A choice that is on disk is used even where nothing may be timed.
    """

    stopwatch: Stopwatch = milliseconds
    machine: Callable[[torch.device], str] = device_and_compiler
    cache: TuningCache = field(default_factory=lambda: TuningCache(cache_file()))

    def choose(self, problem: TileProblem, device: torch.device, run: Run) -> TileConfig:
        """Tiles for a problem; `run` launches it with given tiles and may be called many times."""
        if interpreting():
            return problem.default()
        key = f"{self.machine(device)}: {problem.key}"
        known = self.cache.get(key)
        if known is not None:
            return known
        candidates = problem.candidates()
        if len(candidates) == 1 or not may_time():
            return problem.default()
        fastest = min(candidates, key=lambda config: self.stopwatch(run, config))
        self.cache.put(key, fastest)
        return fastest

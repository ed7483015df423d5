"""The dense engine: voxels as cells of dense arrays and torch's own convolutions, for images that are nearly full.

Results are those of every other engine: where there is no voxel there is 0 before a convolution and nothing after it,
so that submanifold convolutions stay submanifold. Norms and activations work on the rows of the voxels as they do on
any engine; of a full image rows are channels-last pixels, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32
from torch import Tensor

from lartpc_sparse.sparse.engines.dense_fusion import DenseConvolution
from lartpc_sparse.sparse.engines.dense_grid import grid_of
from lartpc_sparse.sparse.engines.dense_map import DenseMap
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine
from lartpc_sparse.sparse.fusion import Epilogue
from lartpc_sparse.sparse.kernel_map import KernelMap, check_reach, check_submanifold, strided_map, submanifold_map
from lartpc_sparse.sparse.level import Level
from lartpc_sparse.sparse.native.library import missing_reason
from lartpc_sparse.sparse.normalisation import Normalised

__all__ = ["DenseEngine", "reason_unavailable"]

MAX_CELLS_PER_VOXEL = 64
"""A level that fills less of its box than this is left to the reference engine: its arrays would be mostly zeros."""
_REFERENCE = TorchEngine()


def reason_unavailable(device: torch.device | str) -> str | None:
    """It runs wherever torch does."""
    del device
    return None


@dataclass(frozen=True)
class DenseEngine:
    """Implementation of `Engine` with dense convolutions, in 1 to 3 axes; in 4 the reference engine does the work."""

    name: str = "dense"

    def duplicates(self, level: Level) -> tuple[int, int]:
        """See `Engine.duplicates`."""
        if len(level) and _fits(level) and grid_of(level).cell is None:
            return 0, -1
        return level.duplicates()

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """See `Engine.coarsen`."""
        if not (len(level) and _fits(level)):
            return _REFERENCE.coarsen(level, step)
        grid = grid_of(level)
        aligned = all(first % many == 0 for first, many in zip(grid.origin, step, strict=True))
        if grid.cell is not None or not aligned:
            return _REFERENCE.coarsen(level, step)
        size = tuple(-(-length // many) for length, many in zip(grid.size, step, strict=True))
        first = tuple(begin // many for begin, many in zip(grid.origin, step, strict=True))
        coords = _cells(first, size, level.coords.device).repeat(level.num_events, 1)
        cells = len(coords) // level.num_events
        offsets = torch.arange(level.num_events + 1, device=coords.device) * cells
        return Level(coords, offsets, tuple(have * more for have, more in zip(level.stride, step, strict=True)))

    def submanifold_map(self, level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
        """See `Engine.submanifold_map`."""
        check_submanifold(kernel_size)
        pairs = partial(submanifold_map, level, kernel_size)
        if not _fits(level):
            return pairs()
        grid = grid_of(level)
        return DenseMap((grid, grid), (len(level), len(level)), kernel_size, (1,) * level.dim, pairs)

    def strided_map(self, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """See `Engine.strided_map`."""
        check_reach(kernel_size, step)
        pairs = partial(strided_map, fine, coarse, kernel_size, step)
        if not (_fits(fine) and _fits(coarse)):
            return pairs()
        return DenseMap((grid_of(fine), grid_of(coarse)), (len(fine), len(coarse)), kernel_size, step, pairs)

    def convolve(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `Engine.convolve`."""
        if not isinstance(kernel_map, DenseMap):
            return _REFERENCE.convolve(feats, weight, kernel_map)
        return kernel_map.apply(feats, weight)

    def depthwise(
        self, feats: Float[Tensor, "num_in C"], weight: Float[Tensor, "K C"], kernel_map: KernelMap
    ) -> Float[Tensor, "num_out C"] | None:
        """See `DepthwiseEngine.depthwise`."""
        if not isinstance(kernel_map, DenseMap) or kernel_map.backwards:
            return None
        return kernel_map.apply(feats, weight[:, None], groups=weight.shape[1])

    def batch_norm(
        self,
        feats: Float[Tensor, "N C"],
        weight: Float[Tensor, " C"],
        bias: Float[Tensor, " C"],
        eps: float,
        slope: float,
    ) -> Normalised:
        """See `NormalisingEngine.batch_norm`."""
        if feats.is_cpu and missing_reason() is None:
            from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine

            return CpuEngine().batch_norm(feats, weight, bias, eps, slope)
        variance, mean = torch.var_mean(feats.detach().to(weight.dtype), dim=0, unbiased=False)
        result = F.batch_norm(feats, None, None, weight, bias, True, 0.0, eps)
        return Normalised(F.leaky_relu(result, slope), mean, variance, feats)

    def prepare(
        self,
        weights: Sequence[Float[Tensor, "... _ C_out"]],
        epilogues: Sequence[Epilogue],
        bias: Float[Tensor, " C_out"] | None,
        dtype: torch.dtype,
    ) -> DenseConvolution:
        """See `FusingEngine.prepare`."""
        return DenseConvolution(weights, epilogues, bias, dtype)


def _fits(level: Level) -> bool:
    """Whether a level is worth dense arrays."""
    if not 0 < level.dim <= 3:
        return False
    if not len(level):
        return False
    low, high = level.derived("bounds", _bounds)
    cells = level.num_events
    for first, last in zip(low, high, strict=True):
        cells *= last - first + 1
    return cells <= MAX_CELLS_PER_VOXEL * len(level)


def _bounds(level: Level) -> tuple[list[int], list[int]]:
    return level.coords.amin(0).tolist(), level.coords.amax(0).tolist()


def _cells(first: tuple[int, ...], size: tuple[int, ...], device: torch.device) -> Int32[Tensor, "N D"]:
    axes = [
        torch.arange(begin, begin + length, dtype=torch.int32, device=device)
        for begin, length in zip(first, size, strict=True)
    ]
    return torch.cartesian_prod(*axes).reshape(-1, len(axes))

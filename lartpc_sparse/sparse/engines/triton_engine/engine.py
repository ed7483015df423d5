"""The Triton engine: kernel maps by sorted search on the device, convolutions as fused gather-GEMM kernels."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse.differentiable import differentiable
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine
from lartpc_sparse.sparse.engines.triton_engine.availability import reason_unavailable
from lartpc_sparse.sparse.engines.triton_engine.gather_table import mark_symmetric
from lartpc_sparse.sparse.engines.triton_engine.tuning import Tuner
from lartpc_sparse.sparse.kernel_map import KernelMap, strided_map, submanifold_map
from lartpc_sparse.sparse.level import Level

__all__ = ["TritonEngine"]

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class TritonEngine:
    """Implementation of `Engine` for NVIDIA GPUs of compute capability 8.0 and newer.

    Sums are float32 (float64 for float64) and in a fixed order, which depends on the tiles that the tuner chose.

    Attributes:
        tf32: whether products of float32 are rounded to TF32, as torch's own unless said otherwise.
        tuner: chooses the tiles of each shape.
    """

    tf32: bool = field(default_factory=lambda: bool(torch.backends.cuda.matmul.allow_tf32))
    tuner: Tuner = field(default_factory=Tuner, compare=False, repr=False)
    name: str = "triton"

    def duplicates(self, level: Level) -> tuple[int, int]:
        """See `Engine.duplicates`."""
        return level.duplicates()

    def coarsen(self, level: Level, step: tuple[int, ...]) -> Level:
        """See `Engine.coarsen`."""
        return TorchEngine().coarsen(level, step)

    def submanifold_map(self, level: Level, kernel_size: tuple[int, ...]) -> KernelMap:
        """See `Engine.submanifold_map`."""
        return mark_symmetric(submanifold_map(level, kernel_size))

    def strided_map(self, fine: Level, coarse: Level, kernel_size: tuple[int, ...], step: tuple[int, ...]) -> KernelMap:
        """See `Engine.strided_map`."""
        return strided_map(fine, coarse, kernel_size, step)

    def convolve(
        self,
        feats: Float[Tensor, "num_in C_in"],
        weight: Float[Tensor, "K C_in C_out"],
        kernel_map: KernelMap,
    ) -> Float[Tensor, "num_out C_out"]:
        """See `Engine.convolve`.

        Raises:
            UserError: the engine cannot run on the device of the features.
            ValueError: features, weight and map do not fit each other; unchecked, kernels would read beyond them.
        """
        _check(feats, weight, kernel_map)
        # Not at the top: the engine can be named and asked where Triton is missing.
        from lartpc_sparse.sparse.engines.triton_engine.convolution import TritonPasses

        precision = "tf32" if self.tf32 and feats.dtype == torch.float32 else "ieee"
        return differentiable(TritonPasses(precision, self.tuner), feats, weight, kernel_map)


def _check(feats: Tensor, weight: Tensor, kernel_map: KernelMap) -> None:
    if (reason := reason_unavailable(feats.device)) is not None:
        raise UserError(reason)
    expected = (kernel_map.num_in, kernel_map.kernel_volume)
    if (len(feats), len(weight)) != expected or feats.shape[1] != weight.shape[1] or min(weight.shape) < 1:
        raise ValueError(
            f"features {tuple(feats.shape)} and weight {tuple(weight.shape)} (K, C_in, C_out) do not fit a map of "
            f"{kernel_map.num_in} input rows and {kernel_map.kernel_volume} slots"
        )
    if feats.dtype != weight.dtype or feats.dtype not in DTYPES:
        raise ValueError(f"features and weight must both be one of {DTYPES}, got {feats.dtype} and {weight.dtype}")
    devices = {str(tensor.device) for tensor in (feats, weight, kernel_map.in_index)}
    if len(devices) > 1:
        raise ValueError(f"features, weight and map are on different devices: {sorted(devices)}")

"""What the machine allows: the time that the multiplications of a pass take at the measured peak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.network import TRAINING_FACTOR

__all__ = ["Limits", "measure_cuda_limits"]


@dataclass(frozen=True)
class Limits:
    """Measured peaks; a ratio to them says how far a time is from what the machine allows.

    Attributes:
        gflops: multiply-adds, GFLOP/s: fp32 on all threads of a CPU, or by precision (fp32, bf16, fp16) on a GPU.
        bandwidth_gb: memory copy of a GPU, GB/s (10^9, read and written); None on a CPU, where it is not the limit.
    """

    gflops: dict[str, float]
    bandwidth_gb: float | None = None

    def flop_seconds(self, gflop: float, mode: str, precision: str) -> float:
        """Time of the multiplications of a pass at the peak. On a CPU every precision is compared with fp32."""
        factor = TRAINING_FACTOR if mode == "training" else 1
        return factor * gflop / self.gflops.get(precision, self.gflops["fp32"])

    def traffic_seconds(self, features: int, mode: str, precision: str) -> float | None:
        """Time of reading and writing the features of a pass once, where the bandwidth was measured."""
        if self.bandwidth_gb is None:
            return None
        factor = TRAINING_FACTOR if mode == "training" else 1
        return factor * features * (4 if precision == "fp32" else 2) / (self.bandwidth_gb * 1e9)


def measure_cuda_limits(size: int = 8192, repeats: int = 20) -> Limits:
    """Peaks of the GPU: a large copy, and large products at each precision (tensor cores; TF32 for fp32)."""
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        gflops = {
            name: 2e-9 * size**3 / _product_seconds(torch.ones((size, size), device="cuda", dtype=dtype), repeats)
            for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16))
        }
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)
    seconds = _timed(lambda: target.copy_(source), repeats)
    return Limits(gflops, 2 * source.nbytes / seconds / 1e9)


def _product_seconds(matrix: torch.Tensor, repeats: int) -> float:
    return _timed(lambda: matrix @ matrix, repeats)


def _timed(action: Callable[[], object], repeats: int) -> float:
    """Seconds of one call, by CUDA events over many."""
    action()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(repeats):
        action()
    end.record()
    end.synchronize()
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds * 1e-3 / repeats

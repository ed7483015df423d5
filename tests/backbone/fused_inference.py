"""Inference of a UResNet, fused or not, and an element-wise comparison."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from test_uresnet import voxels
from torch import Tensor

from lartpc_sparse.backbone import UResNet
from lartpc_sparse.sparse import Engine, SparseTensor
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine

COUNTS = (40, 0, 30)


def infer(
    model: UResNet,
    *,
    dim: int = 2,
    fuse: bool = True,
    engine: Engine | None = None,
    counts: tuple[int, ...] = COUNTS,
    streams: Sequence[str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tensor]:
    """Features of every stream, in evaluation and without gradients."""
    coords, feats, offsets = voxels(counts, dim)
    model.fuse_inference = fuse
    with torch.no_grad():
        result = model(SparseTensor.build(coords, feats.to(dtype), offsets, engine or CpuEngine()), streams)
    model.fuse_inference = True
    return {name: x.feats for name, x in result.items()}


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-4) -> None:
    """Element by element, relative to the largest feature of the stream."""
    assert list(found) == list(expected)
    for name, value in found.items():
        assert value.dtype == expected[name].dtype
        scale = float(expected[name].abs().max()) if value.numel() else 1.0
        torch.testing.assert_close(value, expected[name], rtol=0, atol=tolerance * scale)

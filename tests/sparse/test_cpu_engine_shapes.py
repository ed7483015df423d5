"""What does not fit is refused before the compiled kernels, which read memory as they are told, see it."""

from __future__ import annotations

import pytest
import torch
from voxel_batches import sample

from lartpc_sparse.sparse import Plan
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine
from lartpc_sparse.sparse.fusion import Epilogue

ENGINE = CpuEngine()


def plan_of_sample() -> Plan:
    voxels = sample(3)
    return Plan.build(voxels.coords, voxels.offsets, ENGINE)


@pytest.mark.parametrize(
    ("rows_less", "weight_shape"),
    [(1, (27, 2, 3)), (0, (26, 2, 3)), (0, (27, 3, 3))],
    ids=["rows", "slots", "channels"],
)
def test_a_convolution_that_does_not_fit_is_refused(rows_less: int, weight_shape: tuple[int, ...]) -> None:
    kernel_map = plan_of_sample().submanifold_map((1, 1, 1), (3, 3, 3))
    feats = torch.ones(kernel_map.num_in - rows_less, 2)
    convolution = ENGINE.prepare([torch.ones(weight_shape)], [Epilogue()], None, torch.float32)
    with pytest.raises(ValueError, match="do not fit a map of 27 slots"):
        convolution([feats], [kernel_map], kernel_map.num_out)


def test_a_residual_that_does_not_fit_is_refused() -> None:
    kernel_map = plan_of_sample().submanifold_map((1, 1, 1), (3, 3, 3))
    convolution = ENGINE.prepare([torch.ones(27, 2, 3)], [Epilogue()], None, torch.float32)
    feats = torch.ones(kernel_map.num_in, 2)
    with pytest.raises(ValueError, match=r"residual .* does not fit"):
        convolution([feats], [kernel_map], kernel_map.num_out, torch.ones(kernel_map.num_out - 1, 3))

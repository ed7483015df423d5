"""Fused convolutions of the CPU engine: several inputs, bias, residual, scales, activations, special numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from instruction_sets import KNOWN, instruction_set
from many_tracks import many_tracks
from torch import Tensor

from lartpc_sparse.sparse import KernelMap, Plan
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.engines.torch_engine import TorchEngine
from lartpc_sparse.sparse.fusion import Epilogue, is_fusing

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

ACTIVATIONS: dict[str, tuple[Epilogue, Callable[[Tensor], Tensor]]] = {
    "none": (Epilogue(), lambda x: x),
    "relu": (Epilogue(activation="leaky_relu"), F.relu),
    "leaky_relu": (Epilogue(activation="leaky_relu", slope=0.25), lambda x: F.leaky_relu(x, 0.25)),
    "elu": (Epilogue(activation="elu"), F.elu),
    "gelu": (Epilogue(activation="gelu"), F.gelu),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2, torch.float16: 2e-3}
FORMATS = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_who_can_fuse() -> None:
    assert is_fusing(CpuEngine())
    assert not is_fusing(TorchEngine())


@FORMATS
@pytest.mark.parametrize("c_out", [1, 5, 16, 33, 64, 100])
@pytest.mark.parametrize("name", KNOWN)
def test_a_sum_of_everything(name: str, c_out: int, dtype: torch.dtype) -> None:
    """Two inputs through a map, one voxel by voxel, bias and residual; rows with space between them; two results."""
    voxels = many_tracks(3, 2, shuffled=c_out % 2 == 1)
    rows = len(voxels)
    maps: list[KernelMap | None] = [
        Plan.build(voxels.coords, voxels.offsets, CpuEngine()).submanifold_map((1, 1, 1), (3, 3, 3))
    ] * 2
    maps.append(None)
    wide = normal(rows, 40, seed=1).to(dtype)
    inputs = [wide[:, :7], wide[:, 7:20], wide[:, 20:36]]
    weights = [(0.2 * normal(*s, c_out, seed=2)).to(dtype) for s in ((27, 7), (27, 13), (16,))]
    bias = normal(c_out, seed=3).float()
    scale, shift = 1 + 0.1 * normal(c_out, seed=4).float(), normal(c_out, seed=5).float()
    residual = normal(rows, c_out + 3, seed=6).to(dtype)[:, 1 : c_out + 1]
    epilogues = [Epilogue(), Epilogue(scale, shift, "leaky_relu", 0.25), Epilogue(shift=shift), Epilogue(scale=scale)]
    with instruction_set(name):
        prepared = CpuEngine().prepare(weights, epilogues, bias, dtype)
        found = prepared(inputs, maps, rows, residual)

    total = bias + residual.double()
    for x, weight, kernel_map in zip(inputs, weights, maps, strict=True):
        exact = x.double(), weight.double()
        total = total + (exact[0] @ exact[1] if kernel_map is None else TorchEngine().convolve(*exact, kernel_map))
    expected = [total, F.leaky_relu(scale * total + shift, 0.25), total + shift, scale * total]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        # float16 is rounded once, at the end, like bfloat16.
        torch.testing.assert_close(one.double(), other, rtol=TOLERANCE[dtype], atol=10 * min(TOLERANCE[dtype], 1e-4))


@FORMATS
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", KNOWN)
def test_activations_of_ordinary_and_special_numbers(name: str, activation: str, dtype: torch.dtype) -> None:
    values = torch.tensor([torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 1e-30, -1e-30, -100.0, 100.0, 3.0, -3.0])
    values = torch.cat([values, torch.linspace(-6, 6, 53)]).to(dtype)
    epilogue, function = ACTIVATIONS[activation]
    with instruction_set(name):
        prepared = CpuEngine().prepare([torch.zeros(1, len(values), dtype=dtype)], [epilogue], None, dtype)
        # Through the residual, which is added to a sum of zero; two rows, so that rows are not mixed up.
        rows = torch.stack([values, values.flip(0)])
        (found,) = prepared([torch.ones(2, 1, dtype=dtype)], [None], 2, rows)
    expected = function(rows.double())
    torch.testing.assert_close(found.double(), expected, rtol=TOLERANCE[dtype], atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("rows", [0, 1, 511, 512, 513])
def test_any_number_of_rows(rows: int) -> None:
    x, weight = normal(rows, 5, seed=1), normal(5, 9, seed=2)
    (found,) = CpuEngine().prepare([weight], [Epilogue()], None, torch.float64)([x], [None], rows)
    torch.testing.assert_close(found, x @ weight, rtol=1e-12, atol=1e-12)


def test_an_input_without_channels_adds_nothing() -> None:
    weight, bias = torch.zeros(0, 4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    (found,) = CpuEngine().prepare([weight], [Epilogue()], bias, torch.float32)([torch.zeros(3, 0)], [None], 3)
    assert torch.equal(found, bias.expand(3, 4))


def test_a_map_to_other_voxels_is_refused() -> None:
    voxels = many_tracks(2, 1)
    kernel_map = Plan.build(voxels.coords, voxels.offsets, CpuEngine()).submanifold_map((1, 1), (3, 3))
    prepared = CpuEngine().prepare([torch.ones(9, 2, 3)], [Epilogue()], None, torch.float32)
    with pytest.raises(ValueError, match=r"do not fit a map of .* wanted"):
        prepared([torch.ones(len(voxels), 2)], [kernel_map], len(voxels) + 1)


def test_maps_with_outputs_in_two_orders_are_refused() -> None:
    voxels = many_tracks(2, 1, shuffled=True)
    engine_map = Plan.build(voxels.coords, voxels.offsets, CpuEngine()).submanifold_map((1, 1), (3, 3))
    listed = KernelMap(engine_map.in_index, engine_map.out_index, engine_map.slot_starts, len(voxels), len(voxels))
    prepared = CpuEngine().prepare([torch.ones(9, 2, 3)] * 2, [Epilogue()], None, torch.float32)
    with pytest.raises(RuntimeError, match="two orders"):
        prepared([torch.ones(len(voxels), 2)] * 2, [engine_map, listed], len(voxels))

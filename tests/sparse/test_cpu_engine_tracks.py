"""The CPU engine on thousands of voxels: many blocks, cut columns, threads, row order, a million voxels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from convolution_cases import BASIC, Convolution, assert_within
from convolution_contract import ConvolutionContract
from many_tracks import many_tracks
from property_contract import threads
from torch import Tensor
from voxel_batches import Voxels

from lartpc_sparse.sparse import Engine, Plan, SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

BASIC_2D = [
    Convolution("submanifold", (3, 3), (1, 1)),
    Convolution("strided", (2, 2), (2, 2)),
    Convolution("transposed", (2, 2), (2, 2)),
]
CHANNELS = [(1, 160), (5, 33), (16, 16), (32, 32), (33, 5), (96, 96), (160, 1), (160, 160)]
BLOCK_ROWS = 512  # of small batches, see BlockCut in native/src/maps.h
FORWARD_AND_GRADIENTS = ("forward", "gradient of the features", "gradient of the weight")


class Contract(ConvolutionContract):
    device = "cpu"


def problem(case: Convolution, voxels: Voxels, channels: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Features, weight and incoming gradient, rounded to `dtype`."""
    plan, stride, feats, weight = Contract().problem(case, channels, voxels, CpuEngine())
    num_out = len(plan.coarser(stride, case.step)) if case.kind == "strided" else len(voxels)
    push = torch.randn(num_out, channels[1], generator=torch.Generator().manual_seed(6))
    return feats.to(dtype), weight.to(dtype), push.to(dtype)


def results(
    engine: Engine, case: Convolution, voxels: Voxels, feats: Tensor, weight: Tensor, push: Tensor
) -> tuple[Tensor, ...]:
    """Forward and both gradients."""
    plan = Plan.build(voxels.coords, voxels.offsets, engine)
    fine = (1,) * case.dim
    stride = plan.coarser(fine, case.step).stride if case.kind == "transposed" else fine
    x, w = feats.clone().requires_grad_(), weight.clone().requires_grad_()
    out = Contract().sparse(case, SparseTensor(x, plan, stride), w).feats
    return out.detach(), *torch.autograd.grad(out, (x, w), push)


def assert_agreement(case: Convolution, voxels: Voxels, channels: tuple[int, int], dtype: torch.dtype) -> None:
    """Against the torch engine in float64: every element within the roundings of its own sum."""
    given = problem(case, voxels, channels, dtype)
    found = results(CpuEngine(), case, voxels, *given)
    expected = results(TorchEngine(), case, voxels, *(tensor.double() for tensor in given))
    sizes = results(TorchEngine(), case, voxels, *(tensor.double().abs() for tensor in given))
    volume = len(given[1])
    terms = (volume * channels[0], volume * channels[1], len(found[0]))
    for one, value, size, n, name in zip(found, expected, sizes, terms, FORWARD_AND_GRADIENTS, strict=True):
        assert_within(one, value, (n + 2) * torch.finfo(dtype).eps * size, f"{case} {channels} {name}")


@pytest.mark.parametrize("channels", CHANNELS, ids=str)
@pytest.mark.parametrize("case", BASIC + BASIC_2D, ids=str)
def test_tracks_agree_with_the_torch_engine(case: Convolution, channels: tuple[int, int]) -> None:
    voxels = many_tracks(case.dim, 5, shuffled=sum(channels) % 3 == 0)
    assert len(voxels) > 5 * BLOCK_ROWS
    assert_agreement(case, voxels, channels, torch.float32)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("case", BASIC + BASIC_2D, ids=str)
def test_tracks_agree_in_float64(case: Convolution, shuffled: bool) -> None:
    assert_agreement(case, many_tracks(case.dim, 5, shuffled=shuffled), (17, 33), torch.float64)


def test_more_input_channels_than_a_weight_panel_holds() -> None:
    assert_agreement(BASIC[0], many_tracks(3, 2), (523, 40), torch.float32)


@pytest.mark.parametrize("rows", [511, 512, 513, 1025, 2047, 2048, 2049])
@pytest.mark.parametrize("case", BASIC, ids=str)
def test_voxels_are_cut_into_blocks_anywhere(case: Convolution, rows: int) -> None:
    whole = many_tracks(3, 7, events=1).coords[:rows]
    assert len(whole) == rows
    assert_agreement(case, Voxels(whole, torch.tensor([0, len(whole)])), (5, 33), torch.float32)


@pytest.mark.parametrize("rows", [10_239, 10_240, 12_288])  # small blocks, large ones, large ones that are full
@pytest.mark.parametrize("case", BASIC[:2], ids=str)
def test_large_blocks_agree(case: Convolution, rows: int) -> None:
    whole = many_tracks(3, 40, events=1).coords[:rows]
    assert len(whole) == rows
    assert_agreement(case, Voxels(whole, torch.tensor([0, len(whole)])), (5, 33), torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("channels", [(32, 32), (33, 160), (192, 37)], ids=str)
@pytest.mark.parametrize("tracks", [1, 10], ids=["few blocks, cut columns", "many blocks"])
@pytest.mark.parametrize("case", BASIC, ids=str)
def test_the_number_of_threads_does_not_change_a_bit(
    case: Convolution, tracks: int, channels: tuple[int, int], dtype: torch.dtype
) -> None:
    voxels = many_tracks(3, tracks, shuffled=True)
    assert (len(voxels) > 5000) == (tracks == 10)
    given = problem(case, voxels, channels, dtype)
    with threads(1):
        expected = results(CpuEngine(), case, voxels, *given)
    for number in (2, 3, 5):
        with threads(number):
            found = results(CpuEngine(), case, voxels, *given)
        for one, other, name in zip(found, expected, FORWARD_AND_GRADIENTS, strict=True):
            assert torch.equal(one, other), f"{name} with {number} threads"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", BASIC, ids=str)
def test_the_order_of_the_rows_does_not_change_a_bit(case: Convolution, dtype: torch.dtype) -> None:
    voxels = many_tracks(3, 5)
    generator = torch.Generator().manual_seed(3)
    counts = voxels.offsets.diff().tolist()
    starts = voxels.offsets[:-1].tolist()
    order = torch.cat([torch.randperm(n, generator=generator) + start for n, start in zip(counts, starts, strict=True)])
    permuted = Voxels(voxels.coords[order], voxels.offsets)
    feats, weight, push = problem(case, voxels, (33, 37), dtype)
    # The coarse level is sorted whatever the order of the fine one.
    rows_in, rows_out = (slice(None) if case.kind == other else order for other in ("transposed", "strided"))
    before = results(CpuEngine(), case, voxels, feats, weight, push)
    found = results(CpuEngine(), case, permuted, feats[rows_in], weight, push[rows_out])
    expected = before[0][rows_out], before[1][rows_in], before[2]
    for one, other, name in zip(found, expected, FORWARD_AND_GRADIENTS, strict=True):
        assert torch.equal(one, other), name


@pytest.mark.slow
def test_a_million_voxels() -> None:
    script = Path(__file__).with_name("million_voxels.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1000000 voxels" in done.stdout

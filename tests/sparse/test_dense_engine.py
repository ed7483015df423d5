"""The dense engine against the contract, and on images that are full."""

from __future__ import annotations

import pytest
import torch
from engine_contract import EngineContract

from lartpc_sparse.sparse import Engine, Plan, SparseTensor, TorchEngine, choose_engine
from lartpc_sparse.sparse.engines.dense_engine import DenseEngine
from lartpc_sparse.sparse.engines.dense_map import DenseMap
from lartpc_sparse.sparse.fusion import is_fusing
from lartpc_sparse.sparse.operations import strided_conv, submanifold_conv, transposed_conv


class TestDenseEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return DenseEngine()


def full_image(size: tuple[int, ...], events: int = 2, channels: int = 3) -> tuple[torch.Tensor, ...]:
    axes = (torch.arange(n, dtype=torch.int32) for n in size)
    coords = torch.cartesian_prod(*axes).reshape(-1, len(size)).repeat(events, 1)
    count = len(coords) // events
    feats = torch.randn(len(coords), channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return coords, feats, torch.arange(events + 1) * count


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (4, 5, 3), (9,)])
def test_a_full_image_is_convolved_as_torch_does(size: tuple[int, ...]) -> None:
    coords, feats, offsets = full_image(size)
    x = SparseTensor.build(coords, feats, offsets, DenseEngine())
    kernel = (3,) * len(size)
    assert isinstance(x.plan.submanifold_map(x.stride, kernel), DenseMap)
    weight = torch.randn(3 ** len(size), 3, 4, dtype=torch.float64)
    found = submanifold_conv(x, weight, kernel).feats
    dense = feats.reshape(2, *size, 3).movedim(-1, 1)
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[len(size) - 1]
    expected = convolve(dense, weight.reshape(*kernel, 3, 4).movedim((-1, -2), (0, 1)), padding=1)
    torch.testing.assert_close(found, expected.movedim(1, -1).reshape(-1, 4))


def test_levels_of_a_full_image_are_those_of_the_reference_engine() -> None:
    coords, feats, offsets = full_image((7, 9))
    ours = SparseTensor.build(coords, feats, offsets, DenseEngine()).plan
    theirs = SparseTensor.build(coords, feats, offsets, TorchEngine()).plan
    for plan in (ours, theirs):
        plan.coarser((1, 1), (2, 2))
        plan.coarser((2, 2), (2, 2))
    for stride in ((2, 2), (4, 4)):
        torch.testing.assert_close(ours.level(stride).coords, theirs.level(stride).coords)
        torch.testing.assert_close(ours.level(stride).offsets, theirs.level(stride).offsets)


def test_scattered_voxels_are_left_to_the_reference_engine() -> None:
    coords = torch.tensor([[0, 0], [900, 900]], dtype=torch.int32)
    plan = Plan.build(coords, torch.tensor([0, 2]), DenseEngine())
    assert not isinstance(plan.submanifold_map((1, 1), (3, 3)), DenseMap)


def test_down_and_up_agree_with_the_reference_engine_on_an_image_with_holes() -> None:
    coords, feats, _ = full_image((9, 11), events=1)
    keep = torch.rand(len(coords), generator=torch.Generator().manual_seed(2)) < 0.5
    results = []
    for engine in (DenseEngine(), TorchEngine()):
        x = SparseTensor.build(coords[keep] + 5, feats[keep], torch.tensor([0, int(keep.sum())]), engine)
        weight = torch.randn(4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        down = strided_conv(x, weight, (2, 2), (2, 2))
        results.append((down.feats, transposed_conv(down, weight, (2, 2), (2, 2)).feats))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_it_is_chosen_by_name_and_fuses() -> None:
    choice = choose_engine("dense", "cpu")
    assert choice.engine.name == "dense"
    assert is_fusing(choice.engine)
    assert "dense" in choice.reason

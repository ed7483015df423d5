"""Depthwise convolution and interpolation against torch's on full images, and on images with holes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from lartpc_sparse.sparse import Engine, SparseTensor, TorchEngine
from lartpc_sparse.sparse.depthwise import DepthwiseConv, depthwise_conv, interpolate_up
from lartpc_sparse.sparse.engines.dense_engine import DenseEngine
from lartpc_sparse.sparse.operations import pool

ENGINES = [TorchEngine(), DenseEngine()]

on_both_engines = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


def full(size: tuple[int, ...], engine: Engine, events: int = 2, channels: int = 3) -> SparseTensor:
    axes = (torch.arange(n, dtype=torch.int32) for n in size)
    coords = torch.cartesian_prod(*axes).repeat(events, 1)
    feats = torch.randn(len(coords), channels, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    offsets = torch.arange(events + 1) * (len(coords) // events)
    return SparseTensor.build(coords, feats.requires_grad_(), offsets, engine)


def image(x: SparseTensor, feats: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return feats.reshape(len(x.offsets) - 1, *size, -1).movedim(-1, 1)


@on_both_engines
@pytest.mark.parametrize("size", [(6, 8), (4, 5, 6)])
def test_a_kernel_for_every_channel(size: tuple[int, ...], engine: Engine) -> None:
    x = full(size, engine)
    kernel = (3,) * len(size)
    weight = torch.randn(3 ** len(size), 3, dtype=torch.float64, requires_grad=True)
    found = depthwise_conv(x, weight, kernel).feats
    convolve = F.conv2d if len(size) == 2 else F.conv3d
    expected = convolve(image(x, x.feats, size), weight.T.reshape(3, 1, *kernel), padding=1, groups=3)
    torch.testing.assert_close(image(x, found, size), expected)
    own = torch.autograd.grad(found.square().sum(), (x.feats, weight), retain_graph=True)
    theirs = torch.autograd.grad(expected.square().sum(), (x.feats, weight))
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one, other)


@on_both_engines
@pytest.mark.parametrize("size", [(6, 8), (2, 2)])
def test_interpolation_of_a_full_image_is_that_of_torch(size: tuple[int, int], engine: Engine) -> None:
    x = full(size, engine)
    coarse = pool(x, (2, 2), (2, 2), "mean")
    half = (size[0] // 2, size[1] // 2)
    expected = F.interpolate(image(x, coarse.feats, half), scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(image(x, interpolate_up(coarse).feats, size), expected)


def test_engines_agree_on_images_with_holes() -> None:
    x = full((9, 7), TorchEngine(), events=1)
    keep = torch.rand(len(x), generator=torch.Generator().manual_seed(5)) < 0.6
    found = []
    for engine in ENGINES:
        y = SparseTensor.build(x.coords[keep], x.feats.detach()[keep], torch.tensor([0, int(keep.sum())]), engine)
        layer = DepthwiseConv(3, 3, dim=2).double()
        torch.nn.init.constant_(layer.weight, 0.3)
        coarse = pool(y, (2, 2), (2, 2), "max")
        found.append((layer(y).feats, interpolate_up(coarse).feats))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@on_both_engines
def test_interpolation_of_a_constant_is_the_constant_whatever_is_missing(engine: Engine) -> None:
    coords = torch.tensor([[0, 0], [3, 5], [3, 6], [7, 7]], dtype=torch.int32)
    x = SparseTensor.build(coords, torch.full((4, 2), 2.5), torch.tensor([0, 4]), engine)
    torch.testing.assert_close(interpolate_up(pool(x, (2, 2), (2, 2), "mean")).feats, x.feats)


@on_both_engines
def test_no_voxels(engine: Engine) -> None:
    x = SparseTensor.build(torch.zeros((0, 2), dtype=torch.int32), torch.zeros(0, 3), torch.tensor([0, 0]), engine)
    assert DepthwiseConv(3, 3, dim=2)(x).feats.shape == (0, 3)
    assert interpolate_up(pool(x, (2, 2), (2, 2), "mean")).feats.shape == (0, 3)


def test_a_weight_that_does_not_fit_is_refused() -> None:
    x = full((4, 4), TorchEngine())
    with pytest.raises(ValueError, match="does not fit a kernel of 9 slots"):
        depthwise_conv(x, torch.zeros(9, 2, dtype=torch.float64), (3, 3))
    with pytest.raises(ValueError, match="cannot go up by 2"):
        interpolate_up(x)

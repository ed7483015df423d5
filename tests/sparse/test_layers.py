"""Layers: they apply the operations with their own weights, sized and initialised as stated."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from voxel_batches import Voxels, from_events, sample

from lartpc_sparse.sparse import (
    BatchNorm,
    FeatureLayer,
    PointwiseConv,
    Pool,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
)
from lartpc_sparse.sparse.operations import pointwise_conv, pool, strided_conv, submanifold_conv, transposed_conv


def tensor_of(voxels: Voxels, channels: int = 3) -> SparseTensor:
    feats = torch.randn(len(voxels), channels, generator=torch.Generator().manual_seed(4))
    return SparseTensor.build(voxels.coords, feats, voxels.offsets)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dim", [2, 3])
def test_convolutions_apply_their_operation(dim: int, bias: bool) -> None:
    torch.manual_seed(0)
    x = tensor_of(sample(dim))
    three, two = (3,) * dim, (2,) * dim
    same = SubmanifoldConv(3, 4, 3, dim=dim, bias=bias)
    down = StridedConv(4, 5, 2, dim=dim, bias=bias)
    wide = StridedConv(5, 5, 2, 3, dim=dim, bias=bias)
    up = TransposedConv(5, 6, 2, dim=dim, bias=bias)
    point = PointwiseConv(6, 2, bias=bias)
    for layer in (same, down, wide, up, point):
        assert (layer.bias is not None) == bias
        if layer.bias is not None:
            assert not layer.bias.any()
            nn.init.normal_(layer.bias)
    a = same(x)
    b = down(a)
    c = wide(b)
    d = up(c)
    e = point(d)
    assert torch.equal(a.feats, submanifold_conv(x, same.weight, three, same.bias).feats)
    assert torch.equal(b.feats, strided_conv(a, down.weight, two, two, down.bias).feats)
    assert torch.equal(c.feats, strided_conv(b, wide.weight, three, two, wide.bias).feats)
    assert torch.equal(d.feats, transposed_conv(c, up.weight, two, two, up.bias).feats)
    assert torch.equal(e.feats, pointwise_conv(d, point.weight, point.bias).feats)
    assert [t.stride[0] for t in (a, b, c, d, e)] == [1, 2, 4, 2, 2]
    assert e.plan is x.plan


def test_anisotropic_sizes_reach_the_operation() -> None:
    x = tensor_of(sample(3))
    down, up = StridedConv(3, 4, (1, 2, 3), dim=3), TransposedConv(4, 2, (1, 2, 3), dim=3)
    assert down.weight.shape == (6, 3, 4)
    assert down(x).stride == (1, 2, 3)
    assert up(down(x)).stride == (1, 1, 1)
    assert SubmanifoldConv(3, 2, (3, 1, 5), dim=3)(x).feats.shape == (len(x), 2)


@pytest.mark.parametrize("mode", ["max", "mean", "sum"])
def test_pool_applies_its_operation(mode: str) -> None:
    x = tensor_of(sample(2))
    layer = Pool(mode, 2, 3, dim=2)  # type: ignore[arg-type]
    expected = pool(x, (3, 3), (2, 2), mode)  # type: ignore[arg-type]
    assert torch.equal(layer(x).feats, expected.feats)
    assert Pool(dim=2).kernel_size == (2, 2)


@pytest.mark.parametrize("build", [StridedConv, TransposedConv])
def test_a_kernel_of_size_zero_is_refused(build: type[StridedConv] | type[TransposedConv]) -> None:
    with pytest.raises(ValueError, match="kernel_size"):
        build(1, 1, 2, 0, dim=2)
    with pytest.raises(ValueError, match="kernel_size"):
        Pool("max", 2, 0, dim=2)


def test_initial_weights_have_the_variance_of_their_fan_in() -> None:
    torch.manual_seed(0)
    layers: list[tuple[SubmanifoldConv | StridedConv | TransposedConv | PointwiseConv, int]] = [
        (SubmanifoldConv(32, 64, 3, dim=3), 27 * 32),
        (StridedConv(32, 64, 2, dim=3), 8 * 32),
        (TransposedConv(64, 64, 2, dim=3), 64),
        (PointwiseConv(128, 128), 128),
    ]
    for layer, fan_in in layers:
        # The variance of n normal numbers is known to sqrt(2 / n); five times that is allowed.
        weight = layer.weight.detach()
        allowed = 5 * (2 / weight.numel()) ** 0.5
        assert float(weight.var()) * fan_in / 2 == pytest.approx(1.0, rel=allowed)
        assert abs(float(weight.mean())) < 5 * (2 / fan_in / weight.numel()) ** 0.5


def test_layers_print_their_sizes() -> None:
    assert "3, 4, kernel_size=(3, 3), K=9, bias=False" in repr(SubmanifoldConv(3, 4, 3, dim=2))


def test_feature_layers_keep_the_voxels() -> None:
    x = tensor_of(sample(2))
    y = FeatureLayer(nn.LeakyReLU(0.33))(x)
    assert y.plan is x.plan
    assert torch.equal(y.feats, nn.functional.leaky_relu(x.feats, 0.33))


def norms() -> tuple[BatchNorm, nn.BatchNorm1d]:
    """Our norm and torch's with the same, untrivial state."""
    ours, torchs = BatchNorm(3, eps=1e-4, momentum=0.3), nn.BatchNorm1d(3, eps=1e-4, momentum=0.3)
    generator = torch.Generator().manual_seed(9)
    for name, value in ours.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        torchs.state_dict()[name].copy_(value)
    return ours, torchs


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_many_voxels_is_torchs(training: bool) -> None:
    x = tensor_of(sample(2))
    ours, torchs = (norm.train(training) for norm in norms())
    torch.testing.assert_close(ours(x).feats, torchs(x.feats))
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, torchs.state_dict()[name])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("number", [0, 1])
def test_batch_norm_of_hardly_any_voxel_uses_the_running_statistics(number: int, training: bool) -> None:
    voxels = from_events([[], [(2, -1)][:number], []], 2)
    x = tensor_of(voxels)
    x.feats.requires_grad_()
    ours, torchs = norms()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    out = ours.train(training)(x)
    assert out.feats.shape == (number, 3)
    torch.testing.assert_close(out.feats, torchs.eval()(x.feats))
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.autograd.backward(out.feats.sum())
    assert ours.weight.grad is not None
    assert bool(ours.weight.grad.isfinite().all())


def test_batch_norm_of_two_voxels_learns() -> None:
    x = tensor_of(from_events([[(0, 0), (0, 1)]], 2))
    norm = BatchNorm(3)
    torch.testing.assert_close(norm(x).feats.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    assert norm.num_batches_tracked is not None
    assert int(norm.num_batches_tracked) == 1


def test_a_network_trains_on_a_batch_without_voxels() -> None:
    x = tensor_of(from_events([[], []], 2))
    network = nn.Sequential(
        SubmanifoldConv(3, 4, dim=2), BatchNorm(4), FeatureLayer(nn.ReLU()), StridedConv(4, 4, dim=2), BatchNorm(4),
        TransposedConv(4, 2, dim=2), Pool(dim=2), PointwiseConv(2, 1),
    )  # fmt: skip
    torch.autograd.backward(network(x).feats.sum())
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name

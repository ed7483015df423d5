"""Separable blocks, CBAM, gates, bilinear upsampling and the strided stem against dense networks in plain torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_uresnet import apply, assert_same, network, trained, voxels
from torch import Tensor, nn

from lartpc_sparse.backbone import UResNet
from lartpc_sparse.backbone.attention import AttentionGate, Cbam, event_max, event_mean
from lartpc_sparse.sparse import Engine, SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine
from lartpc_sparse.sparse.engines.cpu_engine import reason_unavailable as reason_of_cpu
from lartpc_sparse.sparse.engines.dense_engine import DenseEngine

SIDE = 16
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"block": "plain"},
    "residual": {"block": "residual"},
    "separable": {"convolution": "separable"},
    "separable plain with cbam": {"block": "plain", "convolution": "separable", "attention": "cbam"},
    "cbam": {"attention": "cbam"},
    "gates": {"gates": True},
    "gates and bilinear": {"gates": True, "upsampling": "bilinear"},
    "bilinear": {"upsampling": "bilinear"},
    "strided stem": {"stem_step": 2},
    "strided stem and bilinear": {"stem_step": 2, "upsampling": "bilinear"},
    "all of camera_attention_small": {
        "convolution": "separable",
        "attention": "cbam",
        "gates": True,
        "upsampling": "bilinear",
        "stem_step": 2,
    },
}
ENGINES: list[Engine] = [TorchEngine(), DenseEngine()]
if reason_of_cpu("cpu") is None:
    ENGINES.append(CpuEngine())

every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


def full(engine: Engine, events: int = 2) -> SparseTensor:
    axis = torch.arange(SIDE, dtype=torch.int32)
    coords = torch.cartesian_prod(axis, axis).repeat(events, 1)
    feats = torch.randn(len(coords), 2, generator=torch.Generator().manual_seed(1))
    return SparseTensor.build(coords, feats, torch.arange(events + 1) * SIDE**2, engine)


class Dense:
    """The network in plain torch on images (B, C, H, W), from the modules' weights; written for the comparison."""

    def __init__(self, model: UResNet) -> None:
        self.model = model

    def norm(self, module: nn.Module, x: Tensor) -> Tensor:
        norm = module[0]
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
        return F.leaky_relu(x, module[1].module.negative_slope)

    def conv(self, module: nn.Module, x: Tensor) -> Tensor:
        if isinstance(module, nn.Sequential):  # depthwise, pointwise
            depth, point = module
            x = F.conv2d(x, depth.weight.T.reshape(-1, 1, 3, 3), padding=1, groups=x.shape[1])
            return F.conv2d(x, point.weight.T[:, :, None, None], point.bias)
        k = module.kernel_size[0]
        return F.conv2d(x, module.weight.permute(2, 1, 0).reshape(*module.weight.shape[:0:-1], k, k), padding=k // 2)

    def cbam(self, module: Cbam, x: Tensor) -> Tensor:
        pooled = module.channel(x.mean((2, 3))) + module.channel(x.amax((2, 3)))
        x = x * torch.sigmoid(pooled)[:, :, None, None]
        both = torch.stack([x.mean(1), x.amax(1)], dim=1)
        place = module.place
        weight = place.weight.permute(2, 1, 0).reshape(1, 2, 7, 7)
        return x * torch.sigmoid(F.conv2d(both, weight, place.bias, padding=3))

    def block(self, module: nn.Module, x: Tensor) -> Tensor:
        path = list(module.path)
        y = self.conv(path[1], self.norm(path[0], x))
        y = self.conv(path[3], self.norm(path[2], y))
        if len(path) > 4:
            y = self.cbam(path[4], y)
        if not hasattr(module, "shortcut"):
            return y
        shortcut = module.shortcut
        return y + (x if isinstance(shortcut, nn.Identity) else F.conv2d(x, shortcut.weight.T[:, :, None, None]))

    def down(self, module: nn.Module, x: Tensor) -> Tensor:
        weight = module.weight.permute(2, 1, 0).reshape(module.weight.shape[2], module.weight.shape[1], 2, 2)
        return F.conv2d(x, weight, stride=2)

    def up(self, module: nn.Module, x: Tensor) -> Tensor:
        x = self.norm(module[0], x)
        if hasattr(module[1], "mix"):
            x = F.conv2d(x, module[1].mix.weight.T[:, :, None, None])
            return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        weight = module[1].weight
        return F.conv_transpose2d(x, weight.permute(1, 2, 0).reshape(*weight.shape[1:], 2, 2), stride=2)

    def gate(self, module: AttentionGate, skip: Tensor, gate: Tensor) -> Tensor:
        together = self.down(module.skip, skip)
        together = together + F.conv2d(gate, module.gate.weight.T[:, :, None, None], module.gate.bias)
        alpha = torch.sigmoid(F.conv2d(torch.relu(together), module.psi.weight.T[:, :, None, None], module.psi.bias))
        return skip * F.interpolate(alpha, scale_factor=2, mode="bilinear", align_corners=False)

    def __call__(self, x: Tensor) -> Tensor:
        encoder, decoder = self.model.encoder, self.model.decoders["a:one"]
        strided = decoder.out is not None
        x = self.down(encoder.stem, x) if strided else self.conv(encoder.stem, x)
        levels = []
        for number, blocks in enumerate(encoder.blocks):
            if number:
                x = self.down(encoder.down[number - 1][1], self.norm(encoder.down[number - 1][0], x))
            for block in blocks:
                x = self.block(block, x)
            levels.append(x)
        for number, (up, blocks) in enumerate(zip(decoder.up, decoder.blocks, strict=True)):
            skip = levels[-2 - number]
            skip = self.gate(decoder.gates[number], skip, x) if decoder.gated else skip
            x = torch.cat([skip, self.up(up, x)], dim=1)
            for block in blocks:
                x = self.block(block, x)
        return self.norm(decoder.final, self.up(decoder.out, x) if strided else x)


@every_engine
@every_variant
def test_a_full_image_gives_what_the_dense_network_gives(settings: dict[str, Any], engine: Engine) -> None:
    model = trained(network(streams=("a.one",), **settings), dim=2)
    x = full(engine)
    dense = x.feats.reshape(2, SIDE, SIDE, 2).movedim(-1, 1)
    with torch.no_grad():
        expected = Dense(model)(dense).movedim(1, -1).reshape(len(x), -1)
        torch.testing.assert_close(model(x)["a.one"].feats, expected, rtol=1e-4, atol=1e-4)


@every_variant
def test_engines_agree_on_images_with_holes(settings: dict[str, Any]) -> None:
    model = trained(network(**settings), dim=2)
    coords, feats, offsets = voxels((60, 0, 1, 45))
    with torch.no_grad():
        expected = apply(model, coords, feats, offsets)
        for engine in ENGINES[1:]:
            found = model(SparseTensor.build(coords, feats, offsets, engine))
            assert_same({name: x.feats for name, x in found.items()}, expected)


@every_variant
def test_every_parameter_learns(settings: dict[str, Any]) -> None:
    model = network(streams=("a.one",), **settings).train()
    model(full(DenseEngine()))["a.one"].feats.square().sum().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without


@every_variant
def test_an_event_does_not_depend_on_the_others(settings: dict[str, Any]) -> None:
    model = trained(network(**settings), dim=2)
    coords, feats, offsets = voxels((50, 40))
    with torch.no_grad():
        whole = apply(model, coords, feats, offsets)
        alone = apply(model, coords[50:], feats[50:], torch.tensor([0, 40]))
    assert_same({name: value[50:] for name, value in whole.items()}, alone)


def test_attention_works_in_3d_too() -> None:
    model = network(dim=3, attention="cbam", gates=True, upsampling="bilinear", convolution="separable")
    coords, feats, offsets = voxels((30, 0), dim=3)
    found = apply(model, coords, feats, offsets)
    assert all(torch.isfinite(value).all() for value in found.values())


def test_only_what_can_be_fused_is_fused() -> None:
    assert network().foldable
    for name, settings in VARIANTS.items():
        assert network(**settings).foldable == (name in ("plain", "residual", "strided stem"))


def test_means_and_maxima_are_of_each_event() -> None:
    coords, feats, offsets = voxels((5, 0, 7))
    x = SparseTensor.build(coords, feats, offsets)
    assert torch.equal(event_mean(x)[1], torch.zeros(2))
    torch.testing.assert_close(event_mean(x)[2], feats[5:].mean(0))
    torch.testing.assert_close(event_max(x)[0], feats[:5].amax(0))
    assert torch.equal(event_max(x)[1], torch.zeros(2))

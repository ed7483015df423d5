"""UResNet: its size, its streams, its symmetries, its edges."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from lartpc_sparse.backbone import BackboneConfig, UResNet, UResNetConfig
from lartpc_sparse.sparse import SparseTensor, TransposedConv

STREAMS = ("a.one", "a.two", "b.one")
SMALL = {"filters": 4, "depth": 2, "blocks": 1, "activation": "leaky_relu"}

in_2d_and_3d = pytest.mark.parametrize("dim", [2, 3])


def network(dim: int = 2, in_channels: int = 2, streams: tuple[str, ...] = STREAMS, **settings: Any) -> UResNet:
    torch.manual_seed(0)
    return UResNetConfig.model_validate({**SMALL, **settings}).build(in_channels=in_channels, dim=dim, streams=streams)


def voxels(counts: tuple[int, ...], dim: int = 2, seed: int = 0, side: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates, two features and offsets of events with the given numbers of voxels."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.cartesian_prod(*[torch.arange(side, dtype=torch.int32)] * dim)
    coords = [places[torch.randperm(len(places), generator=generator)[:count]] for count in counts]
    offsets = torch.tensor([0, *itertools.accumulate(counts)])
    feats = torch.randn(sum(counts), 2, generator=generator)
    return torch.cat(coords), feats, offsets


def trained(model: UResNet, dim: int) -> UResNet:
    """With running statistics as after some training, in evaluation mode."""
    for seed in range(5):
        coords, feats, offsets = voxels((40, 30), dim, seed + 100)
        model.train()(SparseTensor.build(coords, feats, offsets))
    return model.eval()


def apply(model: UResNet, coords: Tensor, feats: Tensor, offsets: Tensor) -> dict[str, Tensor]:
    return {name: x.feats for name, x in model(SparseTensor.build(coords, feats, offsets)).items()}


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert set(actual) == set(expected)
    for name, value in actual.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


# Size


@pytest.mark.parametrize(
    ("growth", "expected"), [("linear", [32, 64, 96, 128, 160, 192]), ("geometric", [32, 64, 128, 256, 512, 1024])]
)
def test_published_channels(growth: str, expected: list[int]) -> None:
    config = UResNetConfig.model_validate({"growth": growth})
    assert [config.channels(level) for level in range(config.depth + 1)] == expected


@pytest.mark.parametrize("growth", ["linear", "geometric"])
@in_2d_and_3d
def test_every_level_has_its_channels_and_stride(growth: str, dim: int) -> None:
    model = network(dim, growth=growth, depth=3)
    seen: list[tuple[int, tuple[int, ...]]] = []

    def note(module: object, inputs: object, output: SparseTensor) -> None:
        del module, inputs
        seen.append((output.feats.shape[1], output.stride))

    decoder = next(iter(model.decoders.values()))
    for blocks in (*model.encoder.blocks, *decoder.get_submodule("blocks").children()):
        blocks.register_forward_hook(note)
    apply(model, *voxels((60,), dim))
    widths = [4, 8, 12, 16] if growth == "linear" else [4, 8, 16, 32]
    strides = [(2**level,) * dim for level in range(4)]
    levels = list(zip(widths, strides, strict=True))
    assert seen == levels + levels[-2::-1]


def expected_parameters(config: UResNetConfig, in_channels: int, dim: int, decoders: int) -> int:
    """Weights of the network as the papers draw it, counted level by level (batch norm: scale and shift)."""
    width = [config.channels(level) for level in range(config.depth + 1)]
    kernel, stem, half = (int(size**dim) for size in (config.kernel_size, config.input_kernel, 2))

    def block(fan_in: int, fan_out: int) -> int:
        shortcut = 0 if fan_in == fan_out else fan_in * fan_out
        return kernel * (fan_in * fan_out + fan_out * fan_out) + 2 * (fan_in + fan_out) + shortcut

    total = stem * in_channels * width[0]
    total += sum(config.blocks * block(w, w) for w in width)
    total += sum(2 * w + half * w * wider for w, wider in itertools.pairwise(width))
    decoder = sum(
        2 * wider + half * wider * w + block(2 * w, w) + (config.blocks - 1) * block(w, w)
        for w, wider in itertools.pairwise(width)
    )
    return total + decoders * (decoder + 2 * width[0])


@pytest.mark.parametrize("settings", [{}, {"blocks": 2, "input_kernel": 5}, {"depth": 0}, {"growth": "geometric"}])
@pytest.mark.parametrize("decoder", ["per_stream", "shared"])
@in_2d_and_3d
def test_number_of_parameters(settings: dict[str, Any], decoder: str, dim: int) -> None:
    config = UResNetConfig.model_validate({**SMALL, **settings, "decoder": decoder})
    model = config.build(in_channels=3, dim=dim, streams=STREAMS)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == expected_parameters(config, 3, dim, len(STREAMS) if decoder == "per_stream" else 1)


@pytest.mark.parametrize("block", ["residual", "plain"])
def test_residual_blocks_have_shortcuts(block: str) -> None:
    model = network(block=block)
    torch.nn.init.zeros_(model.encoder.stem.weight)
    for name, parameter in model.named_parameters():
        if ".path." in name and parameter.dim() == 3:  # convolutions of the blocks
            torch.nn.init.zeros_(parameter)
    torch.nn.init.ones_(model.encoder.stem.weight)
    out = next(iter(apply(model, *voxels((30,))).values()))
    assert bool(out.any()) == (block == "residual")


def test_the_input_kernel_sees_further() -> None:
    """Without blocks that mix voxels, a voxel two steps away is seen through a kernel of 5 only."""
    coords = torch.tensor([[0, 0], [2, 0]], dtype=torch.int32)
    offsets = torch.tensor([0, 2])
    for kernel, seen in ((3, False), (5, True)):
        model = network(depth=0, kernel_size=1, input_kernel=kernel, norm="none")
        feats = torch.randn(2, 2, requires_grad=True)
        torch.autograd.backward(next(iter(apply(model, coords, feats, offsets).values()))[0].sum())
        assert feats.grad is not None
        assert bool(feats.grad[1].any()) == seen


def test_skips_and_the_way_up_both_reach_the_output() -> None:
    """With the way up set to zero the skips still say something, but not the same."""
    x = SparseTensor.build(*voxels((30,)))
    model = network(norm="none", streams=("x.one",))
    whole = model(x)["x.one"].feats
    for module in model.modules():
        if isinstance(module, TransposedConv):
            torch.nn.init.zeros_(module.weight)
    skips = model(x)["x.one"].feats
    assert skips.any()
    assert not torch.allclose(skips, whole)


# Streams


def test_every_stream_has_a_decoder_of_its_own() -> None:
    model = network()
    assert len(model.decoders) == len(STREAMS)
    out = apply(model, *voxels((30,)))
    assert list(out) == list(STREAMS)
    assert not torch.equal(out["a.one"], out["a.two"])


def test_streams_may_share_a_decoder() -> None:
    model = network(decoder="shared")
    assert len(model.decoders) == 1
    out = apply(model, *voxels((30,)))
    assert list(out) == list(STREAMS)
    assert all(torch.equal(out[name], out["a.one"]) for name in STREAMS)


@pytest.mark.parametrize("decoder", ["per_stream", "shared"])
def test_some_streams_equal_the_same_of_all(decoder: str) -> None:
    model = trained(network(decoder=decoder), 2)
    x = SparseTensor.build(*voxels((30, 0, 20)))
    whole = model(x)
    some = model(x, ("b.one", "a.two"))
    assert list(some) == ["b.one", "a.two"]
    for name, found in some.items():
        assert torch.equal(found.feats, whole[name].feats)
    assert model(x, ()) == {}


@in_2d_and_3d
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_streams_live_on_the_input_voxels(dim: int, depth: int) -> None:
    x = SparseTensor.build(*voxels((30, 0, 20), dim))
    for out in network(dim, depth=depth, filters=6)(x).values():
        assert out.plan is x.plan
        assert out.stride == x.stride
        assert out.feats.shape == (50, 6)


# Learning


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("block", ["residual", "plain"])
@pytest.mark.parametrize("decoder", ["per_stream", "shared"])
def test_every_parameter_receives_a_gradient(norm: str, block: str, decoder: str) -> None:
    model = network(norm=norm, block=block, decoder=decoder, blocks=2)
    generator = torch.Generator().manual_seed(3)
    out = apply(model, *voxels((60, 50)))
    torch.autograd.backward(
        sum(((x * torch.randn(x.shape, generator=generator)).sum() for x in out.values()), torch.zeros(()))
    )
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_biases_stand_where_no_normalisation_follows(norm: str) -> None:
    convolutions = [m for m in network(norm=norm).modules() if getattr(m, "weight", None) is not None]
    convolutions = [m for m in convolutions if isinstance(m.weight, Tensor) and m.weight.dim() == 3]
    assert convolutions
    assert all((m.bias is not None) == (norm == "none") for m in convolutions)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu"])
def test_activations_end_the_decoder(activation: str) -> None:
    out = next(iter(apply(network(activation=activation, norm="layer"), *voxels((60,))).values()))
    lowest = out.min().item()
    floors = {"relu": 0.0, "leaky_relu": -torch.inf, "elu": -1.0, "gelu": -0.18}
    assert lowest >= floors[activation]
    assert (lowest < 0) == (activation != "relu")


def test_leaky_slope_is_the_published_one() -> None:
    slopes = {m.negative_slope for m in network().modules() if isinstance(m, torch.nn.LeakyReLU)}
    assert slopes == {0.33}


def test_bf16_autocast() -> None:
    model = trained(network(), 2)
    expected = apply(model, *voxels((40, 0, 30)))
    with torch.autocast("cpu", torch.bfloat16):
        found = apply(model, *voxels((40, 0, 30)))
    for name, value in found.items():
        assert (value.float() - expected[name]).abs().mean() < 0.05 * expected[name].abs().mean()
    torch.autograd.backward(sum((value.float().sum() for value in found.values()), torch.zeros(())))
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


# Symmetries


@in_2d_and_3d
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_a_shift_by_the_coarsest_voxel_changes_nothing(dim: int, norm: str) -> None:
    model = trained(network(dim, norm=norm, streams=("x.one",)), dim)
    coords, feats, offsets = voxels((40,), dim)
    shift = 4 * torch.arange(1, dim + 1, dtype=torch.int32)  # 2^depth = 4
    expected = apply(model, coords, feats, offsets)
    assert_same(apply(model, coords + shift, feats, offsets), expected)
    one_off = apply(model, coords + 1, feats, offsets)["x.one"]
    assert not torch.allclose(one_off, expected["x.one"], atol=1e-3)


@in_2d_and_3d
def test_voxels_may_come_in_any_order(dim: int) -> None:
    model = trained(network(dim, streams=("x.one",)), dim)
    coords, feats, offsets = voxels((40, 25), dim)
    generator = torch.Generator().manual_seed(1)
    order = torch.cat([torch.randperm(40, generator=generator), 40 + torch.randperm(25, generator=generator)])
    expected = {name: x[order] for name, x in apply(model, coords, feats, offsets).items()}
    assert_same(apply(model, coords[order], feats[order], offsets), expected)


@in_2d_and_3d
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("decoder", ["per_stream", "shared"])
def test_a_batch_equals_its_events(dim: int, norm: str, decoder: str) -> None:
    model = trained(network(dim, norm=norm, decoder=decoder), dim)
    coords, feats, offsets = voxels((0, 30, 1, 0, 20, 0), dim)
    whole = apply(model, coords, feats, offsets)
    for start, stop in itertools.pairwise(offsets.tolist()):
        alone = apply(model, coords[start:stop], feats[start:stop], torch.tensor([0, stop - start]))
        assert_same(alone, {name: x[start:stop] for name, x in whole.items()})


# Edges


@in_2d_and_3d
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("counts", [(0,), (0, 0), (1,), (0, 1), (1, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_nearly_nothing(dim: int, norm: str, counts: tuple[int, ...], training: bool) -> None:
    model = network(dim, norm=norm, streams=("x.one",)).train(training)
    out = apply(model, *voxels(counts, dim))["x.one"]
    assert out.shape == (sum(counts), 4)
    assert torch.isfinite(out).all()
    torch.autograd.backward(out.sum())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert all(torch.isfinite(buffer).all() for buffer in model.buffers())


# Configuration


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel_size": 2}, "must be odd, got 2"),
        ({"input_kernel": 4}, "must be odd, got 4"),
        ({"kernel_size": 0}, "greater than or equal to 1"),
        ({"filters": 0}, "greater than or equal to 1"),
        ({"depth": -1}, "greater than or equal to 0"),
        ({"blocks": 0}, "greater than or equal to 1"),
        ({"norm": "bach"}, "norm"),
        ({"activation": "tanh"}, "activation"),
        ({"dept": 3}, "dept"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UResNetConfig.model_validate(wrong)


def test_defaults_are_the_published_network() -> None:
    config = UResNetConfig()
    assert isinstance(config, BackboneConfig)
    assert (config.filters, config.depth, config.blocks, config.kernel_size) == (32, 5, 2, 3)
    assert (config.growth, config.block, config.decoder) == ("linear", "residual", "per_stream")


def test_weights_go_from_one_network_to_another() -> None:
    first, second = trained(network(), 2), network()
    for parameter in second.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    second.load_state_dict(first.state_dict())
    x = voxels((30,))
    assert_same(apply(second.eval(), *x), apply(first, *x))

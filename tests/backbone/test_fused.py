"""Fused inference of a UResNet: the same numbers as the ordinary path, and only where it is allowed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fused_inference import COUNTS, assert_close, infer
from test_uresnet import STREAMS, network, trained, voxels

from lartpc_sparse.backbone import UResNet
from lartpc_sparse.backbone.fused_forms import FusedUResNet
from lartpc_sparse.sparse import SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)


def check(model: UResNet, fused_runs: list[FusedUResNet], *, tolerance: float = 1e-4, **how: Any) -> None:
    """Fused once, and equal to the ordinary path of both engines."""
    before = len(fused_runs)
    found = infer(model, **how)
    assert len(fused_runs) == before + 1
    assert_close(found, infer(model, fuse=False, **how), tolerance)
    assert_close(found, infer(model, engine=TorchEngine(), **how), tolerance)
    assert len(fused_runs) == before + 1


# The same numbers


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("block", ["residual", "plain"])
@pytest.mark.parametrize("decoder", ["per_stream", "shared"])
def test_every_kind_of_block_and_decoder(
    fused_runs: list[FusedUResNet], decoder: str, block: str, norm: str, dim: int
) -> None:
    model = network(dim, decoder=decoder, block=block, norm=norm, blocks=2)
    check(trained(model, dim), fused_runs, dim=dim)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu"])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_every_activation(fused_runs: list[FusedUResNet], norm: str, activation: str) -> None:
    check(trained(network(activation=activation, norm=norm), 2), fused_runs)


@pytest.mark.parametrize("settings", [{"filters": 9}, {"filters": 1}, {"growth": "geometric"}, {"input_kernel": 5}])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_every_depth_and_odd_widths(fused_runs: list[FusedUResNet], depth: int, settings: dict[str, Any]) -> None:
    check(trained(network(depth=depth, **settings), 2), fused_runs)


@pytest.mark.parametrize("counts", [(0,), (0, 0), (1,), (0, 1, 0), (1, 1)])
@pytest.mark.parametrize("dim", [2, 3])
def test_nearly_nothing(fused_runs: list[FusedUResNet], dim: int, counts: tuple[int, ...]) -> None:
    check(trained(network(dim), dim), fused_runs, dim=dim, counts=counts)


@pytest.mark.parametrize("decoder", ["per_stream", "shared"])
@pytest.mark.parametrize("streams", [("b.one",), ("a.two", "a.one"), ()])
def test_some_streams(fused_runs: list[FusedUResNet], streams: tuple[str, ...], decoder: str) -> None:
    model = trained(network(decoder=decoder), 2)
    everything = infer(model)
    check(model, fused_runs, streams=streams)
    found = infer(model, streams=streams)
    assert list(found) == list(streams)
    assert all(torch.equal(value, everything[name]) for name, value in found.items())


def test_the_voxels_and_the_plan_stay() -> None:
    x = SparseTensor.build(*voxels(COUNTS), CpuEngine())
    with torch.inference_mode():
        for out in trained(network(), 2)(x).values():
            assert out.plan is x.plan
            assert out.stride == x.stride


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_bf16_autocast(fused_runs: list[FusedUResNet], norm: str) -> None:
    """Each of the about 20 roundings on the way may shift a feature by 2^-8 of the largest; they add up in squares."""
    model = trained(network(norm=norm), 2)
    exact = infer(model)
    with torch.autocast("cpu", torch.bfloat16):
        found, unfused = infer(model), infer(model, fuse=False)
    assert len(fused_runs) == 2
    for name, value in found.items():
        assert value.dtype == unfused[name].dtype == torch.bfloat16
    assert_close({name: value.float() for name, value in found.items()}, exact, 20**0.5 * 2.0**-8 * 3)
    errors = [
        sum(float((one[name].float() - exact[name]).square().sum()) for name in STREAMS) for one in (found, unfused)
    ]
    assert errors[0] <= 1.5 * errors[1], "fused inference rounds less often than the ordinary path"


def test_float64_keeps_its_precision() -> None:
    model = trained(network(), 2).double()
    assert_close(infer(model, dtype=torch.float64), infer(model, fuse=False, dtype=torch.float64), 1e-12)


# When it is not fused


def test_layer_norms_are_not_fused(fused_runs: list[FusedUResNet]) -> None:
    model = network(norm="layer").eval()
    assert_close(infer(model), infer(model, engine=TorchEngine()))
    assert not fused_runs


def test_only_inference_with_an_engine_that_can_is_fused(fused_runs: list[FusedUResNet]) -> None:
    model = trained(network(), 2)
    x = SparseTensor.build(*voxels(COUNTS), CpuEngine())
    with_gradients = model(x)["a.one"].feats
    assert with_gradients.requires_grad
    with torch.no_grad():
        model.train()(x)
        model.eval()(SparseTensor.build(*voxels(COUNTS), TorchEngine()))
    assert not fused_runs
    infer(model)
    assert len(fused_runs) == 1

"""Batch normalisation with activation in one pass, against torch's in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from instruction_sets import KNOWN, instruction_set
from torch import Tensor, nn

from lartpc_sparse.sparse import BatchNorm, Engine, FeatureLayer, NormActivation, SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.normalisation import is_normalising

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

ENGINE = CpuEngine()
EPS = 1e-5
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}
ROUNDING = 2.0**-8  # of bfloat16, half a unit in the last of 8 bits


def tensor(voxels: int, channels: int, engine: Engine = ENGINE, seed: int = 0) -> SparseTensor:
    """Features far from (0, 1) on a line of voxels."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.stack([torch.arange(voxels, dtype=torch.int32), torch.zeros(voxels, dtype=torch.int32)], dim=1)
    feats = torch.randn((voxels, channels), generator=generator) * 3 + 2
    return SparseTensor.build(coords, feats, torch.tensor([0, voxels]), engine)


def by_torch(x: Tensor, weight: Tensor, bias: Tensor, slope: float, grad: Tensor) -> list[Tensor]:
    """Value and gradients in float64."""
    leaves = [value.detach().double().requires_grad_() for value in (x, weight, bias)]
    normalised = nn.functional.batch_norm(leaves[0], None, None, leaves[1], leaves[2], True, 0.0, EPS)
    y = nn.functional.leaky_relu(normalised, slope)
    y.backward(grad.double())
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def by_engine(x: Tensor, weight: Tensor, bias: Tensor, slope: float, grad: Tensor) -> list[Tensor]:
    """The same by the CPU engine, in the format of x."""
    leaves = [value.detach().clone().requires_grad_() for value in (x, weight, bias)]
    y = ENGINE.batch_norm(*leaves, EPS, slope).feats
    y.backward(grad)
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("isa", KNOWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    voxels=st.sampled_from([3, 40, 257, 1000]),
    channels=st.sampled_from([1, 5, 16, 31, 32, 33, 64, 100]),
    slope=st.sampled_from([0.0, 0.33, 1.0]),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_are_torchs(
    isa: str, dtype: torch.dtype, voxels: int, channels: int, slope: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, grad = torch.randn((2, voxels, channels), generator=generator, dtype=dtype) * 3 + 2
    weight, bias = torch.randn((2, channels), generator=generator, dtype=dtype)
    with instruction_set(isa):
        found = by_engine(x, weight, bias, slope, grad)
    for have, wanted in zip(found, by_torch(x, weight, bias, slope, grad), strict=True):
        assert have.dtype == dtype
        # A gradient is what is left of sums of this size.
        size = max(float(wanted.abs().max()), float(weight.abs().max()), 1.0 if wanted.ndim > 1 else voxels**0.5)
        torch.testing.assert_close(have.double() / size, wanted / size, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("isa", KNOWN)
@given(
    voxels=st.sampled_from([3, 40, 257, 1000]),
    channels=st.sampled_from([1, 5, 16, 31, 32, 33, 64, 100]),
    slope=st.sampled_from([0.0, 0.33, 1.0]),
    seed=st.integers(0, 99),
)
def test_bfloat16_features_beside_float32_weights(
    isa: str, voxels: int, channels: int, slope: float, seed: int
) -> None:
    """As under autocast: what is computed is that of float32; features and their gradient are rounded once."""
    generator = torch.Generator().manual_seed(seed)
    x, grad = (torch.randn((2, voxels, channels), generator=generator) * 3 + 2).bfloat16()
    weight, bias = torch.randn((2, channels), generator=generator)
    with instruction_set(isa):
        found = by_engine(x, weight, bias, slope, grad)
        wanted = by_engine(x.float(), weight, bias, slope, grad.float())
    assert [have.dtype for have in found] == [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32]
    for have, exact in zip(found[:2], wanted[:2], strict=True):
        torch.testing.assert_close(have.float(), exact, rtol=ROUNDING, atol=1e-38)
    for have, exact in zip(found[2:], wanted[2:], strict=True):
        assert torch.equal(have, exact)


def test_layer_in_bfloat16_adds_the_path_around() -> None:
    x = tensor(40, 6)
    wide = layer(6, nn.ReLU())
    gradients = []
    for feats in (x.feats.clone(), x.feats.bfloat16()):
        feats.requires_grad_()
        y, around = wide.beside(x.replace(feats))
        (y.feats.float().square().sum() + 0.7 * around.feats.float().sum()).backward()
        assert feats.grad is not None
        gradients.append(feats.grad.float())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.05, atol=0.05 * float(gradients[0].abs().max()))


@pytest.mark.parametrize("name", ["mean", "variance"])
def test_statistics_keep_the_format_of_the_weight(name: str) -> None:
    found = ENGINE.batch_norm(tensor(40, 6).feats.bfloat16(), torch.ones(6), torch.zeros(6), EPS, 0.0)
    exact = {"mean": tensor(40, 6).feats.bfloat16().double().mean(0)}
    exact["variance"] = tensor(40, 6).feats.bfloat16().double().var(0, unbiased=False)
    torch.testing.assert_close(getattr(found, name).double(), exact[name], rtol=1e-5, atol=1e-6)
    assert getattr(found, name).dtype == torch.float32


@pytest.mark.parametrize("slope", [0.3, 1.0])
def test_gradcheck(slope: float) -> None:
    generator = torch.Generator().manual_seed(3)
    shapes = [(6, 3), (3,), (3,)]
    leaves = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(lambda *inputs: ENGINE.batch_norm(*inputs, EPS, slope).feats, leaves)


def test_gradient_of_the_path_around_is_added() -> None:
    generator = torch.Generator().manual_seed(4)
    leaves = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in [(6, 3), 3, 3]]

    def both(*inputs: Tensor) -> Tensor:
        found = ENGINE.batch_norm(*inputs, EPS, 0.3)
        return found.feats.square() + 0.7 * found.passed

    assert torch.autograd.gradcheck(both, leaves)
    x = leaves[0].detach().clone().requires_grad_()
    found = ENGINE.batch_norm(x, leaves[1].detach(), leaves[2].detach(), EPS, 0.3)
    found.passed.sum().backward()  # nothing comes through the normalised features
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones_like(x))


def test_columns_of_a_wider_tensor_are_read_in_place() -> None:
    wide = torch.randn((50, 40), generator=torch.Generator().manual_seed(1))
    part, weight, bias = wide[:, 3:20], torch.ones(17), torch.zeros(17)
    grad = torch.randn((50, 40), generator=torch.Generator().manual_seed(2))[:, :17]
    for have, wanted in zip(
        by_engine(part, weight, bias, 0.0, grad), by_torch(part, weight, bias, 0.0, grad), strict=True
    ):
        torch.testing.assert_close(have.double(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_threads_do_not_matter(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(5)
    x, grad = torch.randn((2, 3001, 48), generator=generator).to(dtype)
    results = []
    for threads in (1, 2, 3, 5):
        torch.set_num_threads(threads)
        results.append(by_engine(x, torch.ones(48), torch.zeros(48), 0.0, grad))
    torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(have, wanted) for have, wanted in zip(other, results[0], strict=True))


def test_nan_and_infinity_go_through_as_in_torch() -> None:
    x = torch.tensor([[1.0], [-1.0], [float("nan")]])
    assert by_engine(x, torch.ones(1), torch.zeros(1), 0.0, torch.ones(3, 1))[0].isnan().all()


def layer(channels: int, activation: nn.Module, **options: float | bool | None) -> NormActivation:
    norm = BatchNorm(channels, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        if norm.affine:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_()
    return NormActivation(norm, FeatureLayer(activation))


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.33), nn.ELU(), nn.GELU()])
def test_layer_trains_as_the_two_layers_one_by_one(activation: nn.Module, momentum: float | None) -> None:
    fused = layer(12, activation, momentum=momentum)
    plain = copy.deepcopy(fused)
    for step in range(3):
        outputs = []
        for module, engine in ((fused, ENGINE), (plain, TorchEngine())):
            x = tensor(60, 12, engine, seed=step)
            feats = x.feats.clone().requires_grad_()
            y = module(x.replace(feats)).feats
            (y * torch.linspace(-1, 2, y.numel()).reshape(y.shape)).sum().backward()
            outputs.append((y.detach(), feats.grad))
        for have, wanted in zip(*outputs, strict=True):
            torch.testing.assert_close(have, wanted, rtol=1e-4, atol=1e-4)
    assert int(fused[0].num_batches_tracked) == 3
    for name, wanted in plain.state_dict().items():
        torch.testing.assert_close(fused.state_dict()[name], wanted, rtol=1e-5, atol=1e-5)
    for have, wanted in zip(fused.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(have.grad, wanted.grad, rtol=1e-3, atol=1e-3)


def test_layer_uses_the_engines_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_normalising(ENGINE)
    assert not is_normalising(TorchEngine())
    calls = []
    original = CpuEngine.batch_norm
    monkeypatch.setattr(CpuEngine, "batch_norm", lambda *args: calls.append(1) or original(*args))
    x = tensor(20, 4)
    trained = layer(4, nn.ReLU())
    trained(x)
    assert len(calls) == 1
    # Not in evaluation, with statistics of fewer than two voxels, without weights, in another format, or where a hook
    # wants to see the normalised features.
    trained.eval()(x)
    layer(4, nn.ReLU())(tensor(1, 4))
    layer(4, nn.ReLU(), affine=False)(x)
    layer(4, nn.ReLU())(x.replace(x.feats.to(torch.float16)))
    seen: list[Tensor] = []
    watched = layer(4, nn.ReLU())
    watched[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output.feats))
    watched(x)
    assert len(calls) == 1
    assert len(seen) == 1


def test_layer_without_running_statistics() -> None:
    module = layer(4, nn.ReLU(), track_running_stats=False)
    x = tensor(30, 4)
    torch.testing.assert_close(module(x).feats, module[1](module[0](x)).feats, rtol=1e-4, atol=1e-5)


def test_infinite_features_do_not_spoil_relu() -> None:
    """Minus infinity becomes 0, not NaN: 0 times infinity must not be taken."""
    from lartpc_sparse.sparse.native.norms import normalise

    x = torch.tensor([[-float("inf"), float("inf"), -2.0]])
    result = normalise(x, torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0.0)
    assert result.tolist() == [[0.0, float("inf"), 0.0]]

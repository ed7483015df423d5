"""A convolution onto a shortcut against the convolution, the 1 x 1 convolution and their sum one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from instruction_sets import KNOWN, instruction_set
from property_contract import threads
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from lartpc_sparse.backbone.blocks import BlockStyle, ResidualBlock
from lartpc_sparse.sparse import (
    Engine,
    FeatureLayer,
    PointwiseConv,
    SparseTensor,
    SubmanifoldConv,
    TorchEngine,
    is_residual,
)
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.native import functions
from lartpc_sparse.sparse.native.kernels import weight_gradient
from lartpc_sparse.sparse.operations import submanifold_conv_onto

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)

ENGINE = CpuEngine()
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


def batch(voxels: int, channels: int, seed: int, dtype: torch.dtype, engine: Engine = ENGINE) -> SparseTensor:
    """Two events of different voxels, shuffled, in 2D."""
    generator = torch.Generator().manual_seed(seed)
    side = 2 + int((2 * voxels) ** 0.5)
    cells = [torch.randperm(side * side, generator=generator)[:voxels] for _ in range(2)]
    coords = torch.cat([torch.stack([cell // side, cell % side], dim=1) for cell in cells]).int()
    feats = torch.randn((2 * voxels, channels), generator=generator, dtype=dtype)
    return SparseTensor.build(coords, feats, torch.tensor([0, voxels, 2 * voxels]), engine)


def value_and_gradients(call: Callable[..., Tensor], leaves: list[Tensor | None]) -> list[Tensor]:
    """The result, and the gradients of a weighted sum of it."""
    own = [None if leaf is None else leaf.detach().clone().requires_grad_() for leaf in leaves]
    y = call(*own)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    return [y.detach(), *(leaf.grad for leaf in own if leaf is not None and leaf.grad is not None)]


@pytest.mark.parametrize("isa", KNOWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    voxels=st.sampled_from([1, 2, 40, 700]),
    channels=st.tuples(*[st.sampled_from([1, 3, 16, 33, 64])] * 3),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_are_those_of_the_steps(
    isa: str, dtype: torch.dtype, voxels: int, channels: tuple[int, int, int], weighted: bool, seed: int
) -> None:
    c_in, c_short, c_out = channels
    x = batch(voxels, c_in, seed, dtype)
    generator = torch.Generator().manual_seed(seed + 1)
    weight = torch.randn((9, c_in, c_out), generator=generator, dtype=dtype)
    shortcut = torch.randn((len(x), c_short if weighted else c_out), generator=generator, dtype=dtype)
    across = torch.randn((c_short, c_out), generator=generator, dtype=dtype) if weighted else None
    kernel_map = x.plan.submanifold_map(x.stride, (3, 3))
    leaves = [x.feats, weight, shortcut, across]
    with instruction_set(isa):
        found = value_and_gradients(
            lambda feats, w, short, v: ENGINE.convolve_onto(feats, w, kernel_map, short, v), leaves
        )
    by_steps = value_and_gradients(
        lambda feats, w, short, v: TorchEngine().convolve(feats, w, kernel_map) + (short if v is None else short @ v),
        [None if leaf is None else leaf.double() for leaf in leaves],
    )
    assert len(found) == len(by_steps) == 4 + weighted
    for have, wanted in zip(found, by_steps, strict=True):
        assert have.dtype == dtype
        size = float(wanted.abs().max()) + len(x) ** 0.5
        torch.testing.assert_close(have.double() / size, wanted / size, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("weighted", [False, True])
def test_gradcheck(weighted: bool) -> None:
    x = batch(6, 2, 3, torch.float64)
    kernel_map = x.plan.submanifold_map(x.stride, (3, 3))
    generator = torch.Generator().manual_seed(3)
    shapes = [(len(x), 2), (9, 2, 3), (len(x), 4 if weighted else 3), *([(4, 3)] if weighted else [])]
    leaves = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]

    def call(feats: Tensor, weight: Tensor, shortcut: Tensor, across: Tensor | None = None) -> Tensor:
        return ENGINE.convolve_onto(feats, weight, kernel_map, shortcut, across)

    assert torch.autograd.gradcheck(call, leaves)


def test_only_wanted_gradients_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    x = batch(20, 3, 1, torch.float32)
    weight, across = torch.ones(9, 3, 5), torch.ones(3, 5).requires_grad_()
    kernel_map = x.plan.submanifold_map(x.stride, (3, 3))
    y = ENGINE.convolve_onto(x.feats, weight, kernel_map, x.feats, across)

    def unwanted(*_: object) -> None:
        raise AssertionError("this gradient is not wanted")

    monkeypatch.setattr(functions._Passes, "data_gradient", unwanted)
    monkeypatch.setattr(functions._Passes, "weight_gradient", unwanted)
    monkeypatch.setattr(functions, "PreparedConvolution", unwanted)
    y.sum().backward()
    assert across.grad is not None
    torch.testing.assert_close(across.grad, x.feats.sum(dim=0)[:, None].expand(3, 5))


@pytest.mark.parametrize("weighted", [False, True])
def test_threads_do_not_matter(weighted: bool) -> None:
    x = batch(2500, 33, 2, torch.float32)
    generator = torch.Generator().manual_seed(2)
    shapes = [(9, 33, 96), (len(x), 70 if weighted else 96), *([(70, 96)] if weighted else [])]
    leaves = [x.feats, *(torch.randn(shape, generator=generator) for shape in shapes)]
    kernel_map = x.plan.submanifold_map(x.stride, (3, 3))
    results = []
    for number in (1, 2, 3, 5):
        with threads(number):
            results.append(
                value_and_gradients(lambda f, w, s, v=None: ENGINE.convolve_onto(f, w, kernel_map, s, v), list(leaves))
            )
    for other in results[1:]:
        assert all(torch.equal(have, wanted) for have, wanted in zip(other, results[0], strict=True))


def block(c_in: int, c_out: int, **style: object) -> ResidualBlock:
    """A block in training, its norms away from (0, 1)."""
    made = ResidualBlock(c_in, c_out, BlockStyle(2, **style))  # type: ignore[arg-type]
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made.double()


@pytest.mark.parametrize(("c_in", "c_out"), [(6, 6), (5, 7)])
@pytest.mark.parametrize(
    "style", [{}, {"activation": "leaky_relu"}, {"activation": "gelu"}, {"norm": "layer"}, {"norm": "none"}]
)
def test_a_block_trains_as_on_the_torch_engine(c_in: int, c_out: int, style: dict[str, object]) -> None:
    ours = block(c_in, c_out, **style)
    theirs = copy.deepcopy(ours)
    results = []
    for network, engine in ((ours, ENGINE), (theirs, TorchEngine())):
        x = batch(60, c_in, 5, torch.float64, engine)
        x.feats.requires_grad_()
        y = network(x).feats
        (y.square() + y).sum().backward()
        results.append([y.detach(), x.feats.grad, *(p.grad for p in network.parameters()), *network.buffers()])
    assert len(results[0]) == len(results[1])
    for have, wanted in zip(*results, strict=True):
        torch.testing.assert_close(have, wanted, rtol=1e-9, atol=1e-9)


def count_joined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every joined convolution."""
    calls: list[int] = []
    whole = SubmanifoldConv.onto
    monkeypatch.setattr(SubmanifoldConv, "onto", lambda *given: calls.append(1) or whole(*given))
    return calls


@pytest.mark.parametrize("where", ["path", "first", "inside of the first", "last", "shortcut", "every module"])
def test_a_block_is_joined_and_one_with_hooks_is_not(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    calls = count_joined(monkeypatch)
    residual = block(4, 5)
    x = batch(30, 4, 6, torch.float64)
    joined = residual(x).feats
    assert len(calls) == 1
    modules = {
        "path": residual.path,
        "first": residual.path[0],
        "inside of the first": residual.path[0][0],
        "last": residual.path[-1],
        "shortcut": residual.shortcut,
        "every module": nn.Module,
    }
    seen: list[int] = []
    hooked = modules[where]
    register = register_module_forward_hook if hooked is nn.Module else hooked.register_forward_hook
    handle = register(lambda *_: seen.append(1))
    try:
        torch.testing.assert_close(residual(x).feats, joined)
    finally:
        handle.remove()
    assert len(calls) == (2 if where == "inside of the first" else 1)
    assert seen


def test_a_shortcut_of_somebody_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_joined(monkeypatch)
    x = batch(30, 4, 6, torch.float64)
    for shortcut in (FeatureLayer(nn.Tanh()), PointwiseConv(4, 4, bias=True).double()):
        residual = block(4, 4)
        residual.shortcut = shortcut
        torch.testing.assert_close(residual(x).feats, residual.path(x).feats + shortcut(x).feats)
    assert not calls


@pytest.mark.parametrize("voxels", [1, 30])
def test_a_block_in_evaluation_has_gradients(voxels: int) -> None:
    residual = block(4, 4).eval()
    x = batch(voxels, 4, 6, torch.float64)
    x.feats.requires_grad_()
    other = copy.deepcopy(residual)
    x_other = batch(voxels, 4, 6, torch.float64, TorchEngine())
    x_other.feats.requires_grad_()
    residual(x).feats.square().sum().backward()
    other(x_other).feats.square().sum().backward()
    torch.testing.assert_close(x.feats.grad, x_other.feats.grad)


def test_autocast_of_a_block_without_weight_on_its_shortcut_keeps_float32() -> None:
    residual = block(4, 4).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert residual(batch(30, 4, 7, torch.float32)).feats.dtype == torch.float32


def test_autocast_gives_the_format_of_autocast() -> None:
    residual = block(4, 6).float()
    x = batch(30, 4, 7, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        y = residual(x).feats
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert all(parameter.grad is not None for parameter in residual.parameters())
    exact = residual(x).feats.detach()
    torch.testing.assert_close(y.detach().float(), exact, rtol=0.1, atol=0.1 * float(exact.abs().max()))


def test_what_does_not_fit_is_refused() -> None:
    x = batch(10, 3, 8, torch.float32)
    weight = torch.randn(9, 3, 5)
    assert is_residual(ENGINE)
    assert not is_residual(TorchEngine())
    with pytest.raises(ValueError, match=r"shortcut of shape \(20, 3\).*do not fit a result of \(20, 5\)"):
        submanifold_conv_onto(x, weight, (3, 3), x)
    with pytest.raises(ValueError, match=r"its weight of shape \(3, 4\)"):
        submanifold_conv_onto(x, weight, (3, 3), x, torch.randn(3, 4))
    with pytest.raises(ValueError, match="not on the same voxels"):
        submanifold_conv_onto(x, torch.randn(9, 3, 3), (3, 3), batch(10, 3, 9, torch.float32))
    with pytest.raises(ValueError, match="features of 19 and gradients of 20 voxels do not fit"):
        weight_gradient(x.feats[1:], x.feats, None)
    other = batch(10, 3, 8, torch.float32, TorchEngine())
    with pytest.raises(TypeError, match="engine torch has no convolution onto a shortcut"):
        submanifold_conv_onto(other, weight, (3, 3), other)

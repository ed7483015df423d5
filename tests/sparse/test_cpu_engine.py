"""The CPU engine: the contract with every instruction set, what it refuses, special numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from convolution_cases import BASIC, CONVOLUTIONS, Convolution
from convolution_contract import ConvolutionContract
from engine_contract import EngineContract
from instruction_sets import KNOWN, instruction_set
from torch import Tensor
from voxel_batches import Voxels, sample

from lartpc_sparse.sparse import Engine, KernelMap, Plan, TorchEngine
from lartpc_sparse.sparse.coordinates import coordinate_limit, max_events
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable
from lartpc_sparse.sparse.native import library as native_library

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)


class TestCpuEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return CpuEngine()


class TestInstructionSets(ConvolutionContract):
    """Values and gradients with each instruction set; maps and pools do not depend on it, so less of the same."""

    device = "cpu"
    dtypes = (torch.float32, torch.float64)
    test_pool_equals_dense = None

    @pytest.fixture(params=KNOWN)
    def engine(self, request: pytest.FixtureRequest) -> Iterator[Engine]:
        with instruction_set(request.param):
            yield CpuEngine()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("case", CONVOLUTIONS[::6], ids=str)
    def test_convolution_equals_dense(self, engine: Engine, case: Convolution, dtype: torch.dtype) -> None:
        self.check(case, (5, 3), dtype, sample(case.dim), engine)

    @pytest.mark.parametrize("channels", [(1, 33), (33, 5), (16, 70)], ids=str)
    @pytest.mark.parametrize("case", [BASIC[0], BASIC[2]], ids=str)
    def test_any_number_of_channels(self, engine: Engine, case: Convolution, channels: tuple[int, int]) -> None:
        self.check(case, channels, torch.float32, sample(case.dim), engine)


# Where it runs


def test_it_runs_on_the_cpu_only() -> None:
    assert reason_unavailable("cpu") is None
    assert "runs on the CPU, not on cuda:1" in str(reason_unavailable(torch.device("cuda", 1)))


@pytest.fixture
def fresh_library() -> Iterator[None]:
    """The library is looked for anew, in the test and after it."""
    cached = native_library.missing_reason, native_library.library
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.mark.usefixtures("fresh_library")
def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_library, "_find", lambda: None)
    reason = str(reason_unavailable("cpu"))
    assert "not built" in reason
    assert "apt install g++" in reason
    with pytest.raises(RuntimeError, match="not built"):
        native_library.library()


@pytest.mark.usefixtures("fresh_library")
def test_a_library_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "_cpu.so"
    broken.write_text("no library")
    monkeypatch.setattr(native_library, "_find", lambda: broken)
    assert "cannot be loaded" in str(reason_unavailable("cpu"))
    assert str(broken) in str(reason_unavailable("cpu"))


@pytest.mark.usefixtures("fresh_library")
def test_a_library_built_from_other_sources_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_library, "_ABI_VERSION", -7)
    assert "wanted -7" in str(reason_unavailable("cpu"))
    with pytest.raises(RuntimeError, match="build the package again"):
        native_library.library()


def test_an_unknown_instruction_set_is_refused() -> None:
    before = native_library.library().isa()
    with pytest.raises(RuntimeError, match=r"'sse9'.*known: avx512_bf16, avx512, avx2, portable"):
        native_library.select_instruction_set("sse9")
    assert native_library.library().isa() == before


@pytest.mark.parametrize(("wanted", "expected"), [("portable", "portable"), ("sse9", "instruction set 'sse9'")])
def test_the_environment_chooses_the_instruction_set(wanted: str, expected: str) -> None:
    script = "from lartpc_sparse.sparse.native.library import library; print(library().isa().decode())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "LARTPC_SPARSE_ISA": wanted},
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected in done.stdout + done.stderr
    assert (done.returncode == 0) == (wanted == "portable")


# What it refuses


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("beyond", ["above", "below"])
def test_coordinates_that_do_not_fit_are_named(dim: int, beyond: str) -> None:
    limit = coordinate_limit(dim)
    value = limit if beyond == "above" else -limit - 1
    coords = torch.zeros((3, dim), dtype=torch.int32)
    coords[:, 0] = torch.arange(3)
    coords[1, dim - 1] = value
    with pytest.raises(ValueError, match=rf"coordinate {value} on axis {dim - 1} .*\[-{limit}, {limit}\)"):
        Plan.build(coords, torch.tensor([0, 3]), CpuEngine())


def test_too_many_events_are_refused() -> None:
    limit = max_events(3)
    offsets = torch.zeros(limit + 2, dtype=torch.int64)
    offsets[-1] = 1
    with pytest.raises(ValueError, match=f"{limit + 1} events in one batch; with D = 3 at most {limit} fit"):
        Plan.build(torch.zeros((1, 3), dtype=torch.int32), offsets, CpuEngine())


def test_duplicates_are_refused_by_name() -> None:
    coords = torch.tensor([[5, 5], [7, -2], [5, 5], [7, -2], [1, 1], [7, -2]], dtype=torch.int32)
    with pytest.raises(ValueError, match=r"3 duplicate voxels, the first at \[5, 5\] of event 1"):
        Plan.build(coords, torch.tensor([0, 0, 6, 6]), CpuEngine())
    Plan.build(coords, torch.tensor([0, 2, 5, 6]), CpuEngine())  # the same voxel in another event is no duplicate


@pytest.mark.parametrize(("in_row", "out_row"), [(-1, 0), (2, 0), (0, 3), (0, -1)])
def test_a_map_that_leaves_the_features_is_refused(in_row: int, out_row: int) -> None:
    kernel_map = KernelMap(torch.tensor([in_row]), torch.tensor([out_row]), (0, 1), num_in=2, num_out=3)
    with pytest.raises(ValueError, match="names a row that does not exist"):
        CpuEngine().convolve(torch.ones(2, 4), torch.ones(1, 4, 5), kernel_map)


# Numbers that are none


def with_special_numbers(feats: Tensor, weight: Tensor, in_weight: bool) -> tuple[Tensor, Tensor]:
    """NaN and infinities in a few places of the one or the other."""
    feats, weight = feats.clone(), weight.clone()
    if in_weight:
        weight[1, 0, 1], weight[2, 1, 2] = torch.inf, torch.nan
    else:
        feats[3, 0], feats[10, 1], feats[20, 2], feats[21, 2] = torch.nan, torch.inf, -torch.inf, torch.inf
    return feats, weight


def results(engine: Engine, voxels: Voxels, feats: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Forward and both gradients of a submanifold convolution."""
    x, w = feats.clone().requires_grad_(), weight.clone().requires_grad_()
    kernel_map = Plan.build(voxels.coords, voxels.offsets, engine).submanifold_map((1, 1), (3, 3))
    out = engine.convolve(x, w, kernel_map)
    return out.detach(), *torch.autograd.grad(out, (x, w), torch.ones_like(out))


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("in_weight", [False, True])
def test_nan_and_infinities_travel_as_in_the_torch_engine(name: str, dtype: torch.dtype, in_weight: bool) -> None:
    voxels = sample(2)
    generator = torch.Generator().manual_seed(2)
    feats, weight = (torch.randn(*shape, generator=generator) for shape in ((len(voxels), 3), (9, 3, 21)))
    feats, weight = with_special_numbers(feats.to(dtype), weight.to(dtype), in_weight)
    expected = results(TorchEngine(), voxels, feats.double(), weight.double())
    with instruction_set(name):
        found = results(CpuEngine(), voxels, feats, weight)
    assert expected[0].isnan().any()
    assert expected[0].isinf().any()
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=10 * tolerance, equal_nan=True)

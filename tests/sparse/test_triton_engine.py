"""The Triton engine, its kernels interpreted on the CPU: the contract, and agreement on thin tracks."""

from __future__ import annotations

import math

import pytest
import torch
from convolution_cases import BASIC, CONVOLUTIONS, Convolution, assert_within
from engine_contract import EngineContract
from hypothesis import given, settings
from hypothesis import strategies as st
from interpreted_tiles import GivenTiles, LargeTiles
from property_contract import PropertyContract, features_of, small_unet
from thin_tracks import thin_tracks
from torch import Tensor
from voxel_batches import Voxels, batches, edge_cases, for_every_engine, sample

from lartpc_sparse.schema import UserError
from lartpc_sparse.sparse import Engine, KernelMap, Plan, SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.triton_engine import TritonEngine
from lartpc_sparse.sparse.engines.triton_engine.tuning import Tuner

pytest.importorskip("triton")

PIECES = {
    "default tiles": Tuner(),
    "many small tiles": GivenTiles(16, 32, 32),
    "blocks of three sizes": GivenTiles(32, 64, 16),
}


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")


class TestTritonEngine(EngineContract):
    """A convolution takes a tenth of a second here, so that five tests of the contract do less of the same."""

    @pytest.fixture
    def engine(self) -> Engine:
        return TritonEngine(tf32=False, tuner=LargeTiles())

    # float64 differs in the width of the sum only.
    @pytest.mark.parametrize(
        ("case", "dtype"),
        [(case, torch.float32) for case in CONVOLUTIONS] + [(case, torch.float64) for case in BASIC],
        ids=str,
    )
    def test_convolution_equals_dense(self, engine: Engine, case: Convolution, dtype: torch.dtype) -> None:
        super().test_convolution_equals_dense(engine, case, dtype)

    @pytest.mark.parametrize("case", BASIC, ids=str)
    def test_gradcheck(self, engine: Engine, case: Convolution) -> None:
        # Random directions in place of every single element.
        plan, stride, feats, weight = self.problem(case, (2, 3), edge_cases(3)["last event empty"], engine)
        inputs = feats.requires_grad_(), weight.requires_grad_()
        assert torch.autograd.gradcheck(
            lambda f, w: self.sparse(case, SparseTensor(f, plan, stride), w).feats, inputs, fast_mode=True
        )

    @settings(for_every_engine, max_examples=3)
    @given(voxels=batches(dims=(2, 3)), data=st.data())
    def test_rows_may_come_in_any_order(self, engine: Engine, voxels: Voxels, data: st.DataObject) -> None:
        PropertyContract.test_rows_may_come_in_any_order.hypothesis.inner_test(self, engine, voxels, data)

    @settings(for_every_engine, max_examples=3)
    @given(voxels=batches(dims=(2, 3)), data=st.data())
    def test_moving_by_a_multiple_of_the_stride_changes_nothing(
        self, engine: Engine, voxels: Voxels, data: st.DataObject
    ) -> None:
        inner = PropertyContract.test_moving_by_a_multiple_of_the_stride_changes_nothing.hypothesis.inner_test
        inner(self, engine, voxels, data)

    @settings(for_every_engine, max_examples=3)
    @given(voxels=batches(dims=(2, 3), min_events=1))
    def test_a_batch_equals_its_events_one_by_one(self, engine: Engine, voxels: Voxels) -> None:
        PropertyContract.test_a_batch_equals_its_events_one_by_one.hypothesis.inner_test(self, engine, voxels)

    def test_the_number_of_threads_does_not_change_a_bit(self, engine: Engine) -> None:
        # Interpreted kernels know no threads: only the torch operations around them could differ.
        voxels = sample(3)
        results = []
        for number in (1, 2):
            torch.set_num_threads(number)
            results.append(small_unet(self.tensor(voxels, features_of(voxels), engine))[1].feats)
        torch.set_num_threads(1)
        assert torch.equal(*results)


def run(engine: Engine, values: list[Tensor], case: Convolution) -> tuple[Tensor, ...]:
    """Output, gradient of the features and gradient of the weight, in float64."""
    voxels = thin_tracks()
    plan = Plan.build(voxels.coords, voxels.offsets, engine)
    contract = EngineContract()
    stride = plan.coarser((1, 1, 1), case.step).stride if case.kind == "transposed" else (1, 1, 1)
    rows = len(plan.level(stride))
    feats, weight = values[0][:rows].clone().requires_grad_(), values[1].clone().requires_grad_()
    out = contract.sparse(case, SparseTensor(feats, plan, stride), weight).feats
    push = values[2][: len(out)]
    return tuple(result.double() for result in (out.detach(), *torch.autograd.grad(out, (feats, weight), push)))


@pytest.mark.parametrize(
    ("dtype", "pieces"),
    [(dtype, "default tiles") for dtype in (torch.float32, torch.bfloat16, torch.float16)]
    + [(torch.float32, pieces) for pieces in list(PIECES)[1:]],
    ids=str,
)
@pytest.mark.parametrize("case", BASIC[:2], ids=str)
def test_thin_tracks_agree_with_the_torch_engine(case: Convolution, dtype: torch.dtype, pieces: str) -> None:
    generator = torch.Generator().manual_seed(4)
    shapes = [(300, 20), (math.prod(case.kernel_size), 20, 18), (300, 18)]
    values = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    actual = run(TritonEngine(tf32=False, tuner=PIECES[pieces]), values, case)
    wide = [value.double() for value in values]
    expected = run(TorchEngine(), wide, case)
    sizes = run(TorchEngine(), [value.abs() for value in wide], case)
    for result, value, size in zip(actual, expected, sizes, strict=True):
        # Sums are float32 whatever the inputs are, and rounded once; the smallest halves are subnormal.
        rounding = torch.finfo(dtype).eps / 2 * value.abs() + torch.finfo(dtype).tiny
        assert_within(result, value, rounding + 300 * 2.0**-24 * size, f"{case} {dtype}")


@pytest.mark.parametrize("backwards", [False, True])
def test_a_map_made_by_hand_needs_no_symmetry(backwards: bool) -> None:
    kernel_map = KernelMap(
        torch.tensor([0, 1, 2, 2, 0]), torch.tensor([0, 1, 2, 0, 1]), (0, 3, 3, 5), 3, 3, identity_slot=0
    )
    kernel_map = kernel_map.transposed if backwards else kernel_map
    results = []
    for engine in (TritonEngine(tf32=False, tuner=LargeTiles()), TorchEngine()):
        feats = torch.arange(6.0).view(3, 2).requires_grad_()
        weight = torch.arange(18.0).view(3, 2, 3).requires_grad_()
        out = engine.convolve(feats, weight, kernel_map)
        results.append((out, *torch.autograd.grad(out, (feats, weight), torch.arange(9.0).view(3, 3))))
    for actual, expected in zip(*results, strict=True):
        assert torch.equal(actual, expected)  # whole numbers


def test_what_does_not_fit_the_map_is_refused() -> None:
    kernel_map = KernelMap(torch.tensor([0]), torch.tensor([0]), (0, 1), 2, 1)
    engine, weight = TritonEngine(), torch.ones(1, 3, 4)
    for feats, w in [(torch.ones(1, 3), weight), (torch.ones(2, 3), weight.expand(2, 3, 4))]:
        with pytest.raises(ValueError, match="do not fit a map of 2 input rows and 1 slots"):
            engine.convolve(feats, w, kernel_map)
    with pytest.raises(ValueError, match=r"got torch.float16 and torch.float32"):
        engine.convolve(torch.ones(2, 3).half(), weight, kernel_map)
    with pytest.raises(ValueError, match=r"different devices: \['cpu', 'meta'\]"):
        engine.convolve(torch.ones(2, 3), weight.to("meta"), kernel_map)


def test_without_the_interpreter_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(UserError, match="needs a CUDA device, not the CPU"):
        TritonEngine().convolve(
            torch.ones(1, 1), torch.ones(1, 1, 1), KernelMap(*[torch.tensor([0])] * 2, (0, 1), 1, 1)
        )


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_follows_torch(allowed: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        assert TritonEngine().tf32 is allowed
        assert TritonEngine(tf32=not allowed) != TritonEngine() == TritonEngine()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before

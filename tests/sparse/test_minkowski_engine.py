"""MinkowskiEngine behind the seam: the contract, and agreement with the torch engine."""

from __future__ import annotations

import copy
import gc
import itertools
import resource
import weakref
from typing import NoReturn

import pytest
import torch
from engine_contract import EngineContract
from map_contract import pairs_of
from property_contract import features_of, small_unet, threads
from torch import Tensor
from voxel_batches import Voxels, from_events, sample

from lartpc_sparse.backbone import UResNet, UResNetConfig
from lartpc_sparse.sparse import Engine, KernelMap, Level, Plan, SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.minkowski_engine import MinkowskiEngine
from lartpc_sparse.sparse.engines.minkowski_package import reason_unavailable

if (REASON := reason_unavailable("cpu")) is not None:
    pytest.skip(REASON, allow_module_level=True)


def block_of_voxels(side: int, count: int) -> Voxels:
    """Two events of `count` voxels in a cube."""
    box = list(itertools.product(range(side), repeat=3))
    chosen = torch.randperm(len(box), generator=torch.Generator().manual_seed(3))[:count].tolist()
    return from_events([[box[n] for n in chosen], box[:count]], 3)


class TestMinkowskiEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return MinkowskiEngine()

    def test_a_map_without_pairs_gives_zeros(self, engine: Engine) -> None:
        """Replaces the contract's map made by hand: the package builds its maps from voxels only."""
        plan = self.plan(from_events([[(1, 1), (3, 5)]], 2), engine)
        kernel_map = plan.strided_map((1, 1), (1, 1), (2, 2))
        assert len(kernel_map.in_index) == 0
        feats = torch.ones(2, 4, requires_grad=True)
        weight = torch.ones(1, 4, 5, requires_grad=True)
        out = engine.convolve(feats, weight, kernel_map)
        torch.autograd.backward(out.sum())
        assert torch.equal(out, torch.zeros(2, 5))
        assert feats.grad is not None
        assert weight.grad is not None
        assert not feats.grad.any()
        assert not weight.grad.any()

    def test_a_map_made_elsewhere_is_refused(self, engine: Engine) -> None:
        nothing = torch.zeros(0, dtype=torch.int64)
        by_hand = KernelMap(nothing, nothing, (0, 0), num_in=2, num_out=2)
        voxels = sample(2)
        by_torch = Plan.build(voxels.coords, voxels.offsets).submanifold_map((1, 1), (3, 3))
        for kernel_map in (by_hand, by_torch, by_torch.transposed):
            with pytest.raises(ValueError, match="only convolve with kernel maps that it built itself"):
                engine.convolve(
                    torch.zeros(kernel_map.num_in, 1), torch.zeros(kernel_map.kernel_volume, 1, 1), kernel_map
                )

    def test_the_number_of_threads_does_not_change_a_bit(self, engine: Engine) -> None:
        """Replaces the contract's bits by a tolerance: threads reorder the rows of the package's products."""
        voxels = block_of_voxels(20, 2000)
        results = []
        for number in (1, 2):
            with threads(number):
                results.append(small_unet(self.tensor(voxels, features_of(voxels, 33), engine)))
        for one, two in zip(*results, strict=True):
            assert torch.equal(one.coords, two.coords)
            torch.testing.assert_close(one.feats, two.feats, rtol=1e-4, atol=1e-5 * float(one.feats.abs().max()))


def network_and_voxels(dim: int, dtype: torch.dtype) -> tuple[UResNet, Voxels]:
    torch.manual_seed(0)
    config = UResNetConfig(filters=8, depth=3, blocks=2, input_kernel=5)
    network = config.build(in_channels=2, dim=dim, streams=("a", "b")).to(dtype)
    box = list(itertools.product(range(-8, 8), repeat=dim))
    chosen = torch.randperm(len(box), generator=torch.Generator().manual_seed(dim)).tolist()[:200]
    return network, from_events([[box[n] for n in chosen[:150]], [], [box[n] for n in chosen[150:]]], dim)


def outputs_and_gradients(network: UResNet, voxels: Voxels, engine: Engine, dtype: torch.dtype) -> dict[str, Tensor]:
    """Outputs in training and in evaluation, and the gradient of the input and of every weight."""
    network = copy.deepcopy(network)
    feats = features_of(voxels).to(dtype).requires_grad_()
    out = network(SparseTensor.build(voxels.coords, feats, voxels.offsets, engine))
    torch.autograd.backward(sum(x.feats.sin().sum() for x in out.values()))
    assert feats.grad is not None
    results = {f"{name} in training": x.feats.detach() for name, x in out.items()}
    results |= {f"gradient of {name}": weight.grad for name, weight in network.named_parameters()}
    with torch.no_grad():
        out = network.eval()(SparseTensor.build(voxels.coords, feats, voxels.offsets, engine))
    return results | {name: x.feats for name, x in out.items()} | {"gradient of the input": feats.grad}


@pytest.mark.parametrize(
    ("dtype", "values", "gradients"), [(torch.float32, 2e-4, 2e-2), (torch.float64, 1e-11, 1e-11)], ids=["32", "64"]
)
@pytest.mark.parametrize("dim", [2, 3])
def test_one_checkpoint_serves_both(dim: int, dtype: torch.dtype, values: float, gradients: float) -> None:
    """Relative to the largest entry of each tensor: sums of thousands of terms, through 30 layers and norms.

    In float32 a feature that is rounded to the other side of zero may turn a ReLU's gradient on or off.
    """
    network, voxels = network_and_voxels(dim, dtype)
    expected = outputs_and_gradients(network, voxels, TorchEngine(), dtype)
    actual = outputs_and_gradients(network, voxels, MinkowskiEngine(), dtype)
    assert list(actual) == list(expected)
    for name, value in expected.items():
        size = float(value.abs().max())
        assert size > 0, name
        error = float((actual[name] - value).abs().max())
        tolerance = gradients if name.startswith("gradient") else values
        assert error <= tolerance * size, f"{name}: {error:.3g} of {size:.3g}"


def test_plans_alive_together_do_not_disturb_each_other() -> None:
    engine = MinkowskiEngine()
    batches = [sample(dim, seed) for dim in (2, 3) for seed in range(3)]
    plans = [Plan.build(voxels.coords, voxels.offsets, engine) for voxels in batches]
    for _ in range(2):
        for voxels, plan in zip(batches, plans, strict=True):
            feats = features_of(voxels)
            _, top = small_unet(SparseTensor(feats, plan, (1,) * voxels.dim))
            _, expected = small_unet(SparseTensor.build(voxels.coords, feats, voxels.offsets))
            torch.testing.assert_close(top.feats, expected.feats, rtol=1e-4, atol=1e-2)


def test_a_gradient_may_outlive_its_plan() -> None:
    voxels, grads = sample(3), []
    for engine in (TorchEngine(), MinkowskiEngine()):
        feats = features_of(voxels).requires_grad_()
        loss = small_unet(SparseTensor.build(voxels.coords, feats, voxels.offsets, engine))[1].feats.square().mean()
        gc.collect()
        torch.autograd.backward(loss)
        assert feats.grad is not None
        grads.append(feats.grad)
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-4 * float(grads[0].abs().max()))


def test_coordinate_managers_are_freed_with_their_plan() -> None:
    engine, voxels = MinkowskiEngine(), sample(2)
    plan = Plan.build(voxels.coords, voxels.offsets, engine)
    plan.strided_map((1, 1), (2, 2), (2, 2))
    managers = {plan.level(stride).derived("minkowski", not_placed).manager for stride in [(1, 1), (2, 2)]}
    assert len(managers) == 1
    watched = weakref.ref(managers.pop())
    gc.disable()
    try:
        del plan
        assert watched() is None
    finally:
        gc.enable()


def not_placed(level: Level) -> NoReturn:
    raise AssertionError(f"the package has not got the level of stride {level.stride}")


def test_levels_of_different_origin_meet_in_one_map() -> None:
    voxels, engine = sample(2), MinkowskiEngine()
    fine, same = (Plan.build(voxels.coords, voxels.offsets, engine).level((1, 1)) for _ in range(2))
    coarse = engine.coarsen(same, (2, 2))
    expected = TorchEngine().strided_map(fine, coarse, (3, 3), (2, 2))
    kernel_map = engine.strided_map(fine, coarse, (3, 3), (2, 2))
    assert pairs_of(kernel_map) == pairs_of(expected)
    feats, weight = features_of(voxels), torch.randn(9, 2, 3, generator=torch.Generator().manual_seed(0))
    out = engine.convolve(feats, weight, kernel_map)
    torch.testing.assert_close(out, TorchEngine().convolve(feats, weight, expected), rtol=1e-5, atol=1e-5)


def test_many_plans_do_not_leak() -> None:
    engine, voxels = MinkowskiEngine(), block_of_voxels(16, 1000)

    def peak_mb_after(plans: int) -> float:
        for _ in range(plans):
            feats = features_of(voxels).requires_grad_()
            torch.autograd.backward(
                small_unet(SparseTensor.build(voxels.coords, feats, voxels.offsets, engine))[1].feats.sum()
            )
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before = peak_mb_after(20)
    # A plan of this batch holds about 1 MB of maps.
    assert peak_mb_after(100) - before < 10


def test_coordinates_beyond_32_bits_are_refused() -> None:
    far = 2**31 - 200
    engine, voxels = MinkowskiEngine(), from_events([[(-far,), (0,), (far,)]], 1)
    plan = Plan.build(voxels.coords, voxels.offsets, engine)
    assert len(plan.submanifold_map((1,), (3,)).in_index) == 3
    assert len(plan.submanifold_map(plan.coarser((1,), (64,)).stride, (3,)).in_index) == 3
    coarse = plan.coarser((64,), (4,))
    with pytest.raises(ValueError, match=r"on axis 0 are met at stride \(256,\); MinkowskiEngine keeps 32 bits"):
        plan.submanifold_map(coarse.stride, (5,))

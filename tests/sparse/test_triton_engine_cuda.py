"""The Triton engine on a CUDA device: the contract, every number format, large batches, tuning."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from convolution_cases import assert_within
from engine_contract import EngineContract
from property_contract import features_of, small_unet
from thin_tracks import thin_tracks
from torch import Tensor
from voxel_batches import from_events

from lartpc_sparse.sparse import Engine, KernelMap, Plan, SparseTensor, TorchEngine
from lartpc_sparse.sparse.engines.triton_engine import TritonEngine, reason_unavailable
from lartpc_sparse.sparse.engines.triton_engine.tuning import Tuner
from lartpc_sparse.sparse.engines.triton_engine.tuning_cache import TuningCache

pytestmark = pytest.mark.cuda

if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)
if (reason := reason_unavailable("cuda")) is not None:
    pytest.skip(reason, allow_module_level=True)

FORMATS = [
    # Relative rounding of the inputs of a product, then of the result.
    (torch.float16, False, 0.0, 2.0**-11),
    (torch.bfloat16, False, 0.0, 2.0**-8),
    (torch.float32, True, 2.0**-10, 2.0**-24),
    (torch.float32, False, 0.0, 2.0**-24),
    (torch.float64, False, 0.0, 2.0**-53),
]


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    # Every small shape of the contract would be timed.
    monkeypatch.setenv("LARTPC_SPARSE_AUTOTUNE", "0")


def engine_with_cache(folder: Path, tf32: bool = False) -> TritonEngine:
    return TritonEngine(tf32=tf32, tuner=Tuner(cache=TuningCache(folder / "tiles.json")))


class TestTritonEngineOnCuda(EngineContract):
    device = "cuda"

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return engine_with_cache(tmp_path)


def values_and_gradients(
    engine: Engine, feats: Tensor, weight: Tensor, push: Tensor, kernel_map: KernelMap
) -> tuple[Tensor, ...]:
    feats, weight = feats.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()
    out = engine.convolve(feats, weight, kernel_map)
    return tuple(value.double().cpu() for value in (out, *torch.autograd.grad(out, (feats, weight), push)))


@pytest.mark.parametrize("channels", [(32, 32), (96, 160), (33, 5), (1, 64)], ids=str)
@pytest.mark.parametrize(("dtype", "tf32", "of_factor", "of_result"), FORMATS, ids=str)
def test_every_format_agrees_with_float64(
    tmp_path: Path, dtype: torch.dtype, tf32: bool, of_factor: float, of_result: float, channels: tuple[int, int]
) -> None:
    voxels = thin_tracks()
    plan = Plan.build(voxels.coords.cuda(), voxels.offsets.cuda(), engine_with_cache(tmp_path))
    kernel_map = plan.submanifold_map((1, 1, 1), (3, 3, 3))
    generator = torch.Generator().manual_seed(0)
    shapes = [(len(voxels), channels[0]), (27, *channels), (len(voxels), channels[1])]
    values = [torch.randn(shape, generator=generator).to("cuda", dtype) for shape in shapes]
    actual = values_and_gradients(engine_with_cache(tmp_path, tf32), *values, kernel_map)
    wide = [value.double() for value in values]
    expected = values_and_gradients(TorchEngine(), *wide, kernel_map)
    sizes = values_and_gradients(TorchEngine(), *[value.abs() for value in wide], kernel_map)
    of_sum = 300 * (2.0**-53 if dtype == torch.float64 else 2.0**-24)
    for result, value, size in zip(actual, expected, sizes, strict=True):
        bound = of_result * value.abs() + (2 * of_factor + of_sum) * size + torch.finfo(dtype).tiny
        assert_within(result, value, bound, f"{dtype} tf32={tf32} {channels}")


def test_tuned_tiles_agree_and_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LARTPC_SPARSE_AUTOTUNE")
    voxels = thin_tracks()
    feats = features_of(voxels, 32).cuda()
    results = []
    for engine in (engine_with_cache(tmp_path), TorchEngine()):
        x = SparseTensor.build(voxels.coords.cuda(), feats, voxels.offsets.cuda(), engine)
        results.append(small_unet(x)[1].feats)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-2)
    kept = (tmp_path / "tiles.json").read_text()
    assert torch.cuda.get_device_name() in kept
    assert "forward float32 ieee 32x4 K27" in kept


def test_the_same_backward_twice_gives_the_same_bits(tmp_path: Path) -> None:
    coords = torch.nonzero(torch.rand(100, 100, 100, generator=torch.Generator().manual_seed(0)) < 0.1)
    voxels = from_events([[tuple(row) for row in coords.tolist()]], 3)
    engine = engine_with_cache(tmp_path)
    plan = Plan.build(voxels.coords.cuda(), voxels.offsets.cuda(), engine)
    kernel_map = plan.submanifold_map((1, 1, 1), (3, 3, 3))
    values = [
        torch.randn(shape, device="cuda").half() for shape in ((len(voxels), 32), (27, 32, 64), (len(voxels), 64))
    ]
    once, again = (values_and_gradients(engine, *values, kernel_map) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(once, again, strict=True))


def test_a_million_voxels(tmp_path: Path) -> None:
    grid = torch.arange(100, dtype=torch.int32, device="cuda")
    coords = torch.cartesian_prod(grid, grid, grid)
    engine = engine_with_cache(tmp_path)
    x = SparseTensor.build(
        coords, torch.ones(len(coords), 32, device="cuda"), torch.tensor([0, len(coords)], device="cuda"), engine
    )
    out = engine.convolve(x.feats, torch.ones(27, 32, 32, device="cuda"), x.plan.submanifold_map(x.stride, (3, 3, 3)))
    edge = 2.0 + (coords % 99 > 0)  # 3 neighbours along an axis inside, 2 at its ends
    assert torch.equal(out, (32 * edge.prod(dim=1, keepdim=True)).expand(-1, 32))


def test_more_elements_than_an_int32_counts(tmp_path: Path) -> None:
    rows, channels = 2**26 + 7, 33
    if torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("needs 24 GiB of device memory")
    feats = torch.zeros(rows, channels, dtype=torch.float16, device="cuda")
    feats[-1] = 1
    row, first = torch.tensor([rows - 1], device="cuda"), torch.tensor([0], device="cuda")
    kernel_map = KernelMap(row, first, (0, 1), rows, 1)
    weight = torch.ones(1, channels, 8, dtype=torch.float16, device="cuda", requires_grad=True)
    out = engine_with_cache(tmp_path).convolve(feats.requires_grad_(), weight, kernel_map)
    assert out.tolist() == [[float(channels)] * 8]
    torch.autograd.backward(out.sum())
    assert feats.grad is not None
    assert weight.grad is not None
    assert bool((feats.grad[-1] == 8).all())
    assert not feats.grad[:-1].any()
    assert bool((weight.grad == 1).all())

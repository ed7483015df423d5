"""The reference engine on a CUDA device: the contract, and agreement with the CPU."""

from __future__ import annotations

import pytest
import torch
from engine_contract import EngineContract
from map_contract import pairs_of
from property_contract import features_of, small_unet
from voxel_batches import sample

from lartpc_sparse.sparse import Engine, SparseTensor, TorchEngine

pytestmark = pytest.mark.cuda

if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)


class TestTorchEngineOnCuda(EngineContract):
    device = "cuda"

    @pytest.fixture
    def engine(self) -> Engine:
        return TorchEngine()


@pytest.mark.parametrize("dim", [2, 3])
def test_cuda_equals_cpu(dim: int) -> None:
    voxels, results = sample(dim), {}
    for device in ("cpu", "cuda"):
        feats = features_of(voxels).to(device).requires_grad_()
        x = SparseTensor.build(voxels.coords.to(device), feats, voxels.offsets.to(device))
        bottom, top = small_unet(x)
        torch.autograd.backward(top.feats.square().mean())
        maps = [
            x.plan.submanifold_map(x.stride, (3,) * dim),
            x.plan.strided_map(x.stride, (3,) * dim, (2,) * dim),
        ]
        assert feats.grad is not None
        results[device] = (bottom, top, feats.grad.cpu(), [pairs_of(kernel_map) for kernel_map in maps])
    (bottom, top, grad, pairs), (bottom_cuda, top_cuda, grad_cuda, pairs_cuda) = results["cpu"], results["cuda"]
    assert pairs_cuda == pairs
    assert torch.equal(bottom_cuda.coords.cpu(), bottom.coords)
    for actual, expected in [(bottom_cuda.feats, bottom.feats), (top_cuda.feats, top.feats), (grad_cuda, grad)]:
        torch.testing.assert_close(actual.cpu(), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

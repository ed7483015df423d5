"""Fused inference never uses the weights of yesterday."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from fused_inference import COUNTS, assert_close, infer
from test_uresnet import network, trained, voxels

from lartpc_sparse.backbone import UResNet
from lartpc_sparse.backbone.fused_forms import FusedUResNet
from lartpc_sparse.sparse import SparseTensor
from lartpc_sparse.sparse.engines.cpu_engine import CpuEngine, reason_unavailable

if reason := reason_unavailable("cpu"):
    pytest.skip(reason, allow_module_level=True)


def step_of_the_optimiser(model: UResNet) -> UResNet:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(SparseTensor.build(*voxels(COUNTS), CpuEngine()))
    torch.autograd.backward(out["a.one"].feats.square().mean())
    optimiser.step()
    return model


def other_weights(model: UResNet) -> UResNet:
    torch.manual_seed(9)
    other = {name: torch.rand_like(v) if v.is_floating_point() else v for name, v in model.state_dict().items()}
    model.load_state_dict(other)
    return model


def more_training(model: UResNet) -> UResNet:
    with torch.no_grad():  # changes the running statistics only
        model.train()(SparseTensor.build(*voxels((50, 60), seed=77), CpuEngine()))
    return model.eval()


def one_weight_in_place(model: UResNet) -> UResNet:
    with torch.no_grad():
        model.encoder.stem.weight.mul_(2)
    return model


def one_statistic_in_place(model: UResNet) -> UResNet:
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.mul_(3)
    return model


CHANGES = [step_of_the_optimiser, other_weights, more_training, one_weight_in_place, one_statistic_in_place]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_change_is_seen(change: Callable[[UResNet], UResNet], precision: torch.dtype) -> None:
    model = trained(network(), 2)
    with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
        before = infer(model)
        change(model)
        after = infer(model)
        assert not torch.allclose(after["a.one"].float(), before["a.one"].float(), rtol=1e-2)
        assert_close(after, infer(copy.deepcopy(model)), 0.0)


def test_a_change_of_format_is_seen() -> None:
    model = trained(network(), 2)
    before = infer(model)
    found = infer(model.double(), dtype=torch.float64)
    assert found["a.one"].dtype == torch.float64
    assert_close({name: value.float() for name, value in found.items()}, before)
    assert_close(infer(model.float()), before, 1e-6)


def test_copies_do_not_share_their_fused_forms(fused_runs: list[FusedUResNet]) -> None:
    model = trained(network(), 2)
    expected = infer(model)
    copied = copy.deepcopy(model)
    pickled = pickle.loads(pickle.dumps(model))
    saved = io.BytesIO()
    torch.save(model, saved)
    saved.seek(0)
    for other in (copied, pickled, torch.load(saved, weights_only=False)):
        runs = len(fused_runs)
        assert_close(infer(other), expected, 0.0)
        assert len(fused_runs) == runs + 1
        one_weight_in_place(other)
        assert not torch.equal(infer(other)["a.one"], expected["a.one"])
    assert_close(infer(model), expected, 0.0)


def test_a_fused_form_is_made_once(fused_runs: list[FusedUResNet]) -> None:
    model = trained(network(), 2)
    for _ in range(3):
        infer(model)
    assert fused_runs[0] is fused_runs[1] is fused_runs[2]
    infer(model, streams=("a.one",))
    assert fused_runs[3] is not fused_runs[0]
    model.eval()
    infer(model)
    assert fused_runs[4] is not fused_runs[0]

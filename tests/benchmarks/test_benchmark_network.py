"""What a pass costs: the formula against a count of what is really multiplied and moved."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import CASES, CaseBatch, build_batch
from benchmarks.network import CONFIG, build_network, count_levels, forward_features, forward_flop
from lartpc_sparse.sparse import (
    PointwiseConv,
    SparseTensor,
    StridedConv,
    SubmanifoldConv,
    TransposedConv,
)


def batch_of(dim: int) -> CaseBatch:
    if dim == 2:
        return build_batch(CASES["tiny"])
    tracks = dataclasses.replace(CASES["small"].tracks, shape=(48,) * 3, voxels=300)  # type: ignore[type-var]
    return build_batch(dataclasses.replace(CASES["small"], tracks=tracks, events=2))


def tensor_of(batch: CaseBatch) -> SparseTensor:
    return SparseTensor.build(batch.coords, batch.feats, batch.offsets)


@pytest.mark.parametrize("dim", [2, 3])
def test_flop_formula_equals_what_torch_multiplies(dim: int) -> None:
    batch = batch_of(dim)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        build_network(dim).eval()(tensor_of(batch))
    assert forward_flop(count_levels(batch)) == counter.get_total_flops()


@pytest.mark.parametrize("dim", [2, 3])
def test_feature_formula_equals_what_convolutions_read_and_write(dim: int) -> None:
    batch = batch_of(dim)
    network = build_network(dim).eval()
    moved = []
    for module in network.modules():
        if isinstance(module, SubmanifoldConv | StridedConv | TransposedConv | PointwiseConv):
            module.register_forward_hook(
                lambda _, inputs, output: moved.append(inputs[0].feats.numel() + output.feats.numel())
            )
    with torch.no_grad():
        network(tensor_of(batch))
    assert forward_features(count_levels(batch)) == sum(moved)


def test_network_is_the_stated_one_and_repeatable() -> None:
    network, again = build_network(3).state_dict(), build_network(3).state_dict()
    assert [CONFIG.channels(level) for level in range(CONFIG.depth + 1)] == [32, 64, 96, 128, 160]
    for name, value in network.items():
        torch.testing.assert_close(value, again[name], rtol=0, atol=0)
    assert not torch.equal(network["encoder.stem.weight"], build_network(3, seed=1).state_dict()["encoder.stem.weight"])

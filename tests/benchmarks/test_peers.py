"""The peers' networks compute what ours does: outputs and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_benchmark_network import batch_of

from benchmarks.contestant import Contestant, Unavailable
from benchmarks.ours import OurEngine
from benchmarks.peers.wrapped_keys import count_pairs, unambiguous_shape
from benchmarks.registry import ENGINES, REGISTRY, build_contestant, chosen


def contestant_of(name: str, dim: int) -> Contestant:
    try:
        return build_contestant(name, dim, "cpu")
    except Unavailable as reason:
        pytest.skip(str(reason))


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def reference_of(dim: int) -> OurEngine:
    reference = OurEngine("torch", "fp32", "cpu", dim)
    reference.load(batch_of(dim))
    return reference


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("name", ["spconv", "minkowski", "cpu"])
def test_sparse_contestant_agrees(name: str, dim: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, spconv's sums race
    try:
        _assert_agreement(name, dim)
    finally:
        torch.set_num_threads(before)


def _assert_agreement(name: str, dim: int) -> None:
    contestant, reference = contestant_of(name, dim), reference_of(dim)
    contestant.load(batch_of(dim))
    assert relative(contestant.check_inference(), reference.check_inference()) < 1e-5
    probe = torch.randn((len(batch_of(dim)), 32), generator=torch.Generator().manual_seed(0))
    found, expected = contestant.check_gradients(probe), reference.check_gradients(probe)
    assert found.keys() == expected.keys()
    assert max(relative(found[weight], expected[weight]) for weight in expected) < 1e-2


def test_dense_network_agrees_where_it_is_masked_and_only_there() -> None:
    dense, reference = contestant_of("dense", 2), reference_of(2)
    dense.load(batch_of(2))
    expected = reference.check_inference()
    assert relative(dense.check_inference(), expected) < 1e-5
    assert relative(dense.inference(), expected) > 1e-2  # timed without masks
    with pytest.raises(Unavailable, match="memory"):
        dense.training_step()
    with pytest.raises(Unavailable, match="3D"):
        build_contestant("dense", 3, "cpu")


@pytest.mark.parametrize("name", ["torch", "torch-bf16"])
def test_a_training_step_begins_with_fresh_gradients_of_every_weight(name: str) -> None:
    contestant = contestant_of(name, 2)
    contestant.load(batch_of(2))
    contestant.training_step()
    first = {weight: grad.clone() for weight, grad in contestant.gradients().items()}
    contestant.training_step()
    for weight, grad in contestant.gradients().items():
        torch.testing.assert_close(grad, first[weight], rtol=0, atol=0)
    convolutions = [weight for weight in contestant.network.parameters() if weight.ndim > 1]
    assert len(first) == len(convolutions)


def test_plan_of_ours_has_every_map_the_network_asks_for() -> None:
    reference = reference_of(3)
    built = reference.build_plan()
    before = set(built._maps)
    from lartpc_sparse.sparse import SparseTensor

    with torch.no_grad():
        reference.network(SparseTensor(reference.feats, built, (1, 1, 1)))
    assert set(built._maps) == before


def test_wrapped_keys_are_told_apart_by_padding() -> None:
    # 32 events of 768^3 voxels: 2^32 further on is a voxel of event 9, which in 32 bits looks like a neighbour.
    shape = (768, 768, 768)
    here = np.array([0, 400, 400, 400])
    there = np.unravel_index(np.ravel_multi_index(tuple(here), (32, *shape)) + 1 + 2**32, (32, *shape))
    voxels = np.array([here, there, [31, 5, 5, 5]])
    assert count_pairs(voxels, shape, wrap=False) == 3
    assert count_pairs(voxels, shape, wrap=True) == 5
    padded = unambiguous_shape(voxels, shape, 16)
    assert padded[:2] == shape[:2]
    assert padded[2] > 768
    assert padded[2] % 16 == 0
    assert count_pairs(voxels, padded, wrap=True) == 3


def test_small_images_are_only_rounded_up() -> None:
    voxels = np.array([[0, 1, 2], [0, 1, 3], [1, 0, 0]])
    assert unambiguous_shape(voxels, (30, 48), 16) == (32, 48)
    assert count_pairs(voxels, (32, 48), wrap=False) == 5
    corners = np.array([[0, 0, 47], [0, 1, 0]])  # the next key, but at the other end of the image
    assert count_pairs(corners, (32, 48), wrap=False) == 2


def test_registry_names_known_engines_and_refuses_others() -> None:
    assert {entry.engine for entry in REGISTRY.values()} - {""} == set(ENGINES)
    assert "triton" not in chosen(None, "cpu")
    assert chosen(["torch"], "cpu") == ["torch"]
    with pytest.raises(ValueError, match="'magic'"):
        chosen(["magic"], "cpu")
    with pytest.raises(ValueError, match="does not run on cuda"):
        chosen(["spconv"], "cuda")

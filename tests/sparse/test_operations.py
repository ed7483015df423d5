"""Sparse tensors and the operations that are the same on every engine."""

from __future__ import annotations

import dataclasses

import jaxtyping
import pytest
import torch
from voxel_batches import sample

from lartpc_sparse.sparse import Plan, SparseTensor, apply_to_feats, concatenate
from lartpc_sparse.sparse.operations import pointwise_conv, pool, strided_conv, transposed_conv


def tensor_of(dim: int = 2, channels: int = 3) -> SparseTensor:
    voxels = sample(dim)
    feats = torch.randn(len(voxels), channels, generator=torch.Generator().manual_seed(2))
    return SparseTensor.build(voxels.coords, feats, voxels.offsets)


def test_a_tensor_knows_its_voxels() -> None:
    voxels, x = sample(3), tensor_of(3)
    assert torch.equal(x.coords, voxels.coords)
    assert torch.equal(x.offsets, voxels.offsets)
    assert (x.dim, x.stride, len(x)) == (3, (1, 1, 1), len(voxels))


def test_a_tensor_is_immutable() -> None:
    x = tensor_of()
    with pytest.raises(dataclasses.FrozenInstanceError):
        x.feats = torch.zeros(1, 1)  # type: ignore[misc]


@pytest.mark.parametrize("more", [-1, 1])
def test_feats_of_another_number_of_voxels_are_refused(more: int) -> None:
    x = tensor_of()
    with pytest.raises(ValueError, match=rf"the level of stride \(1, 1\) has {len(x)} voxels"):
        SparseTensor(torch.zeros(len(x) + more, 3), x.plan, x.stride)
    with pytest.raises(ValueError, match="voxels"):
        x.replace(torch.zeros(len(x) + more, 3))


def test_a_tensor_on_a_missing_level_is_refused() -> None:
    x = tensor_of()
    with pytest.raises(KeyError, match="no level of stride"):
        SparseTensor(x.feats, x.plan, (2, 2))


def test_apply_to_feats_keeps_the_voxels() -> None:
    x = tensor_of()
    y = apply_to_feats(x, torch.relu)
    assert y.plan is x.plan
    assert y.stride == x.stride
    assert torch.equal(y.feats, x.feats.clamp(min=0))


def test_pointwise_conv_is_a_matrix_product() -> None:
    x, weight, bias = tensor_of(), torch.randn(3, 4), torch.randn(4)
    torch.testing.assert_close(pointwise_conv(x, weight, bias).feats, x.feats @ weight + bias)
    torch.testing.assert_close(pointwise_conv(x, weight).feats, x.feats @ weight)


def test_concatenate_puts_features_side_by_side() -> None:
    x = tensor_of()
    y = concatenate(x, x.replace(2 * x.feats), x.replace(x.feats[:, :1]))
    assert y.plan is x.plan
    assert torch.equal(y.feats, torch.cat([x.feats, 2 * x.feats, x.feats[:, :1]], dim=1))


def test_concatenate_refuses_another_plan_or_level() -> None:
    x = tensor_of()
    coarse = pool(x, (2, 2), (2, 2), "max")
    with pytest.raises(ValueError, match="cannot concatenate"):
        concatenate(x, tensor_of())
    with pytest.raises(ValueError, match=r"strides \(1, 1\) and \(2, 2\)"):
        concatenate(x, x, coarse)


def test_an_unknown_pool_mode_is_refused() -> None:
    # The annotations refuse it first; without them the operation does.
    with pytest.raises((ValueError, jaxtyping.TypeCheckError), match="mode"):
        pool(tensor_of(), (2, 2), (2, 2), "median")  # type: ignore[arg-type]


def test_going_up_to_a_stride_that_does_not_divide_is_refused() -> None:
    x = pool(tensor_of(), (2, 2), (2, 2), "max")
    with pytest.raises(ValueError, match=r"cannot go up by \(4, 4\) from stride \(2, 2\)"):
        transposed_conv(x, torch.zeros(16, 3, 1), (4, 4), (4, 4))
    with pytest.raises(ValueError, match="step must be"):
        transposed_conv(x, torch.zeros(4, 3, 1), (2, 2), (2, 2, 2))


def test_going_up_to_a_level_that_does_not_exist_is_refused() -> None:
    x = pool(tensor_of(), (4, 4), (4, 4), "max")
    with pytest.raises(KeyError, match=r"no level of stride \(2, 2\); this plan has \[\(1, 1\), \(4, 4\)\]"):
        transposed_conv(x, torch.zeros(4, 3, 1), (2, 2), (2, 2))


def test_strides_multiply_on_the_way_down() -> None:
    x = tensor_of()
    down = strided_conv(pool(x, (2, 1), (2, 1), "sum"), torch.zeros(6, 3, 1), (2, 3), (2, 3))
    assert down.stride == (4, 3)
    assert down.plan is x.plan
    expected = {(e, u // 4, v // 3) for e, (u, v) in zip(x.level.batch_index.tolist(), x.coords.tolist(), strict=True)}
    assert len(down) == len(expected)


def test_the_sum_pool_keeps_the_total() -> None:
    x = tensor_of(3)
    torch.testing.assert_close(pool(x, (2, 2, 2), (2, 2, 2), "sum").feats.sum(0), x.feats.sum(0), rtol=1e-5, atol=1e-4)


def test_tensors_of_one_plan_share_it() -> None:
    voxels = sample(2)
    plan = Plan.build(voxels.coords, voxels.offsets)
    one, two = (SparseTensor(torch.ones(len(voxels), n), plan, (1, 1)) for n in (1, 2))
    assert concatenate(one, two).feats.shape == (len(voxels), 3)

"""Levels and plans: what they refuse, what they keep."""

from __future__ import annotations

import jaxtyping
import pytest
import torch
from voxel_batches import from_events, sample

from lartpc_sparse.sparse import Level, Plan, TorchEngine


def plan_of(dim: int = 2) -> Plan:
    voxels = sample(dim)
    return Plan.build(voxels.coords, voxels.offsets)


@pytest.mark.parametrize("offsets", [[], [1, 2], [0, 1], [0, 3], [0, 2, 1, 2], [0, -1, 2], [0]], ids=str)
def test_offsets_that_do_not_fit_are_refused(offsets: list[int]) -> None:
    coords = torch.tensor([[0, 0], [1, 0]], dtype=torch.int32)
    with pytest.raises(ValueError, match="offsets must rise from 0 to the number of voxels 2"):
        Plan.build(coords, torch.tensor(offsets, dtype=torch.int64))


def test_coords_of_another_dimension_than_the_stride_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) do not fit a stride of 2 axes"):
        Level(torch.zeros(2, 3, dtype=torch.int32), torch.tensor([0, 2]), (1, 1))


@pytest.mark.parametrize("wrong", [torch.int64, torch.int16, torch.float32], ids=str)
def test_coords_of_another_dtype_are_refused_by_the_annotations(wrong: torch.dtype) -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="coords"):
        Plan.build(torch.zeros(1, 2, dtype=wrong), torch.tensor([0, 1]))


def test_duplicates_are_refused_and_named() -> None:
    voxels = from_events([[(5, 5)], [], [(1, 2), (-3, 4), (0, 0), (-3, 4)]], 2)
    with pytest.raises(ValueError, match=r"1 duplicate voxels, the first at \[-3, 4\] of event 2"):
        Plan.build(voxels.coords, voxels.offsets)


def test_the_same_voxel_in_two_events_is_no_duplicate() -> None:
    voxels = from_events([[(1, 2)], [(1, 2)]], 2)
    assert len(Plan.build(voxels.coords, voxels.offsets).level((1, 1))) == 2


def test_batch_index_counts_empty_events() -> None:
    voxels = from_events([[], [(0, 0), (1, 1)], [], [(0, 0)], []], 2)
    level = Plan.build(voxels.coords, voxels.offsets).level((1, 1))
    assert level.batch_index.tolist() == [1, 1, 3]
    assert (level.num_events, level.dim, len(level)) == (5, 2, 3)


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_are_ranked_only_when_they_need_it(ordered: bool) -> None:
    rows = [(0, 0), (0, 1), (2, -1)] if ordered else [(2, -1), (0, 0), (0, 1)]
    voxels = from_events([rows], 2)
    level = Plan.build(voxels.coords, voxels.offsets).level((1, 1))
    assert (None if level.row_of_rank is None else level.row_of_rank.tolist()) == (None if ordered else [1, 2, 0])
    assert bool((level.sorted_keys.diff() > 0).all())


def test_levels_and_maps_are_built_once() -> None:
    plan = plan_of()
    assert plan.coarser((1, 1), (2, 2)) is plan.level((2, 2))
    assert plan.submanifold_map((1, 1), (3, 3)) is plan.submanifold_map((1, 1), (3, 3))
    assert plan.submanifold_map((1, 1), (3, 3)) is not plan.submanifold_map((1, 1), (1, 3))
    assert plan.strided_map((1, 1), (2, 2), (2, 2)) is plan.strided_map((1, 1), (2, 2), (2, 2))
    assert plan.strided_map((1, 1), (2, 2), (2, 2)) is not plan.strided_map((1, 1), (3, 3), (2, 2))


def test_the_torch_engine_is_the_default() -> None:
    assert plan_of().engine == TorchEngine()
    assert plan_of(3).dim == 3


def test_a_level_that_no_layer_reached_is_refused() -> None:
    with pytest.raises(KeyError, match=r"no level of stride \(4, 4\); this plan has \[\(1, 1\)\]"):
        plan_of().level((4, 4))


def test_a_strided_map_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="step above 1"):
        plan_of().strided_map((1, 1), (3, 3), (1, 1))


def test_sizes_of_another_dimension_are_refused() -> None:
    plan = plan_of(3)
    with pytest.raises(ValueError, match="kernel_size must be one number >= 1 or 3 of them"):
        plan.submanifold_map((1, 1, 1), (3, 3))
    with pytest.raises(ValueError, match="kernel_size must be one number >= 1 or 3 of them"):
        plan.strided_map((1, 1, 1), (2, 2), (2, 2, 2))
    for size in [(2, 2), (2, 2, 2, 2), (2, 2, 0)]:
        with pytest.raises(ValueError, match="step must be one number >= 1 or 3 of them"):
            plan.coarser((1, 1, 1), size)

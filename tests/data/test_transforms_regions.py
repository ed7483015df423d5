"""mask and dead_regions; crops that become images; merging by class priority."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import Recipe, make_event, random_event, recipes
from pydantic import ValidationError

from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.transforms import (
    Crop,
    CropConfig,
    DeadRegions,
    DeadRegionsConfig,
    Mask,
    MaskBoxes,
    MaskConfig,
    MergeDuplicates,
    MergeDuplicatesConfig,
    RandomRegionsConfig,
    Transform,
)
from lartpc_sparse.data.transforms.mask import block_of_voxel, uniform_of
from lartpc_sparse.schema import UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def full_plane(nx: int, ny: int) -> np.ndarray:
    return np.stack(np.unravel_index(np.arange(nx * ny), (nx, ny)), axis=1)


@given(recipes(), st.integers(1, 5), st.integers(0, 9))
def test_blocks_are_cells_of_a_grid(recipe: Recipe, side: int, shift: int) -> None:
    event = recipe.event()
    block = np.array([side, side + 1, 2][: event.dim])
    start = shift % block
    number = block_of_voxel(event, block, start)
    cells = [tuple(((c + start) // block).tolist()) for c in event.coords]
    assert (number >= 0).all()
    for i, one in enumerate(cells):
        for j, other in enumerate(cells):
            assert (number[i] == number[j]) == (one == other)


def test_mask_drops_whole_blocks_with_the_probability_asked_for() -> None:
    event = make_event(full_plane(120, 120), image_size=(120, 120))
    lost, total = 0.0, 0
    for seed in range(20):
        after = Mask(block=(6, 4), probability=0.3)(event, rng(seed))
        start = rng(seed).integers(0, np.array([6, 4]))
        gone = after.inverse_index < 0
        number = block_of_voxel(event, np.array([6, 4]), start)
        number = np.unique(number, return_inverse=True)[1]
        share = np.bincount(number, weights=gone) / np.bincount(number)
        assert set(share.tolist()) <= {0.0, 1.0}
        lost += share.sum()
        total += len(share)
    assert lost / total == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / total))
    assert len(Mask(4, 0.0)(event, rng())) == len(event)
    assert len(Mask(4, 1.0)(event, rng())) == 0


def test_the_numbers_of_blocks_are_uniform_and_independent() -> None:
    n = 40000
    one, two = (uniform_of(np.arange(n), rng(seed)) for seed in (0, 1))
    assert 0 <= one.min() <= one.max() < 1
    np.testing.assert_allclose(np.bincount((one * 20).astype(int), minlength=20) / n, 0.05, atol=5 * 0.22 / np.sqrt(n))
    for a, b in ((one[1:], one[:-1]), (one[256:], one[:-256]), (one, two)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)
    same = uniform_of(np.array([7, 3, 7, 7]), rng())
    assert same[0] == same[2] == same[3] != same[1]


def test_fixed_regions_by_hand() -> None:
    event = make_event(full_plane(10, 8), image_size=(10, 8))
    wires = DeadRegionsConfig.model_validate({"fixed": [[[2, 3], None], [[9, 9], None], [[0, 1], [6, 7]]]}).build()
    after = wires(event, rng())
    alive = np.ones((10, 8), np.bool_)
    alive[2:4] = alive[9] = False
    alive[0:2, 6:8] = False
    np.testing.assert_array_equal(after.coords, np.argwhere(alive))
    assert after.num_lost == (~alive).sum() == 28


@given(recipes(), st.integers(0, 999))
def test_random_regions_equal_a_plain_loop(recipe: Recipe, seed: int) -> None:
    event = recipe.event()
    dead = DeadRegions(
        random=(RandomRegionsConfig(axes=(1,), count=(0, 2), width=(1, 3)), RandomRegionsConfig(width=(2, 20)))
    )
    regions = dead.regions(event.image_size, rng(seed))
    size = np.array(event.image_size)
    assert 1 <= len(regions) <= 3
    for number, (low, high) in enumerate(regions):
        assert (low >= 0).all()
        assert (high < size).all()
        if number < len(regions) - 1:  # a slab along axis 1
            assert low[0] == 0
            assert high[0] == size[0] - 1
            assert 1 <= high[1] - low[1] + 1 <= min(3, size[1])
        else:
            assert (high - low + 1 >= np.minimum(2, size)).all()
    kept = [
        row
        for row, voxel in enumerate(event.coords)
        if not any((low <= voxel).all() and (voxel <= high).all() for low, high in regions)
    ]
    np.testing.assert_array_equal(dead(event, rng(seed)).coords, event.coords[kept])


def test_random_slabs_reach_every_place_evenly() -> None:
    dead = DeadRegions(random=(RandomRegionsConfig(axes=(0,), width=(2, 2)),))
    first = np.bincount([int(dead.regions((6, 50), rng(s))[0, 0, 0]) for s in range(1500)], minlength=5)
    assert len(first) == 5
    assert first.min() > 230
    counts = [
        len(DeadRegions(random=(RandomRegionsConfig(count=(1, 3), width=(1, 1)),)).regions((9, 9), rng(s)))
        for s in range(60)
    ]
    assert set(counts) == {1, 2, 3}


def test_regions_that_do_not_fit_are_refused() -> None:
    event = random_event(0, 5, (10, 8))
    with pytest.raises(UserError, match=r"dead_regions\.fixed\[0\] has 3 axes.*images have 2"):
        DeadRegions(fixed=(((0, 1), None, None),))(event, rng())
    with pytest.raises(UserError, match=r"dead_regions\.fixed\[0\] ends at voxel 8, but axis \d has 8"):
        DeadRegions(fixed=((None, (3, 8)),))(event, rng())
    with pytest.raises(UserError, match=r"dead_regions\.random\.axes is \[2\]"):
        DeadRegions(random=(RandomRegionsConfig(axes=(2,), width=(1, 1)),))(event, rng())
    for values in (
        {},
        {"fixed": [[None, None]]},
        {"fixed": [[[3, 2], None]]},
        {"fixed": [[[-1, 2], None]]},
        {"random": [{"width": [0, 2]}]},
        {"random": [{"width": [3, 2]}]},
        {"random": [{"width": [1, 2], "count": [2, 1]}]},
        {"random": [{"width": [1, 2], "axes": []}]},
    ):
        with pytest.raises(ValidationError):
            DeadRegionsConfig.model_validate(values)
    with pytest.raises(ValidationError):
        MaskConfig(block=0)
    with pytest.raises(UserError, match=r"mask\.block has 3 numbers"):
        Mask((1, 2, 3))(event, rng())


@pytest.mark.parametrize("transform", [Mask(), DeadRegions(fixed=(((0, 1), None, None),))])
def test_regions_after_mask_boxes_are_refused(transform: Transform) -> None:
    with pytest.raises(UserError, match="after mask_boxes"):
        transform(MaskBoxes(size=3)(random_event(0, 5), rng()), rng())


@given(recipes(), st.sampled_from(["charge", "random", "middle"]), st.integers(1, 9), st.integers(0, 99))
def test_a_crop_moved_to_the_origin_is_the_crop(recipe: Recipe, center: str, size: int, seed: int) -> None:
    event = recipe.event()
    plain = Crop(size, center)(event, rng(seed))  # type: ignore[arg-type]
    moved = Crop(size, center, shift_to_origin=True)(event, rng(seed))  # type: ignore[arg-type]
    assert moved.image_size == tuple(min(size, whole) for whole in event.image_size)
    np.testing.assert_array_equal(moved.inverse_index, plain.inverse_index)
    np.testing.assert_array_equal(moved.frame.inverse().voxels(moved.coords), plain.coords)
    assert moved.frame.axes == tuple(range(event.dim))


def test_crops_of_full_and_empty_events_share_a_batch() -> None:
    crop = CropConfig.model_validate({"size": [8, 4], "shift_to_origin": True}).build()
    events = [random_event(0, 30, (16, 16)), make_event([], image_size=(16, 16)), random_event(1, 3, (16, 16))]
    batch = collate([crop(event, rng(3)) for event in events])
    assert batch.image_size == (8, 4)


def test_merging_by_priority() -> None:
    event = make_event(
        [[1, 1]] * 4 + [[2, 2]] * 2, [1, 9, 2, 5, 3, 4], image_size=(4, 4), semantic=[2, 0, 2, -1, -1, 1]
    )
    after = MergeDuplicates(priority=("delta",))(event, rng())
    assert after.labels["instance"].tolist() == [2, 5]  # the higher energy of the two deltas; a class before none
    assert after.energy.tolist() == [17, 7]
    assert after.inverse_index.tolist() == [0, 0, 0, 0, 1, 1]
    assert MergeDuplicates()(event, rng()).labels["instance"].tolist() == [1, 5]
    assert MergeDuplicates(("track", "delta"))(event, rng()).labels["instance"].tolist() == [1, 5]


def test_a_priority_needs_classes() -> None:
    event = random_event(0, 4)
    with pytest.raises(UserError, match=r"priority \['muon'\].*classes \['track', 'shower', 'delta'\]"):
        MergeDuplicates(("muon",))(event, rng())
    with pytest.raises(UserError, match="no semantic labels"):
        MergeDuplicates(("track",))(event.replace(labels={}), rng())
    with pytest.raises(ValidationError, match="twice"):
        MergeDuplicatesConfig(priority=("track", "track"))


def test_merging_far_outside_of_any_image() -> None:
    far = np.array([[2**31 - 1] * 3, [-(2**31)] * 3, [2**31 - 1] * 3], np.int32)
    after = MergeDuplicates()(make_event(far, [1, 2, 3]), rng())
    assert after.energy.tolist() == [2, 4]
    assert after.inverse_index.tolist() == [1, 0, 1]

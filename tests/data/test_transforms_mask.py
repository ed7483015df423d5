"""mask_boxes and the columns it shares with unmasked events."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import Recipe, as_rows, make_event, random_event, recipes
from pydantic import ValidationError

from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.transforms import MaskBoxes, MaskBoxesConfig, add_empty_mask
from lartpc_sparse.data.transforms.mask_boxes import box_of_voxel, grid_positions, mask_regions, place_boxes
from lartpc_sparse.schema import UserError

COLUMNS = {"candidate": np.bool_, "active": np.bool_, "target_energy": np.float32, "gap": np.int64}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(recipes(), st.integers(1, 6), st.integers(1, 4), st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_boxes_lie_inside_hold_a_voxel_and_do_not_overlap(recipe: Recipe, size: int, count: int, seed: int) -> None:
    event = recipe.event()
    boxes = place_boxes(event.coords, (size,) * event.dim, count, event.image_size, rng(seed))
    assert len(boxes) <= count
    assert (len(boxes) == 0) == (len(event) == 0)
    positions: list[tuple[int, ...]] = []
    for low, high in boxes:
        assert (low >= 0).all()
        assert (high <= np.array(event.image_size)).all()
        assert (high > low).all()
        assert (high - low <= size).all()
        assert ((event.coords >= low) & (event.coords < high)).all(axis=1).any()
        positions += [tuple(np.add(low, step).tolist()) for step in np.ndindex(*(high - low))]
    assert len(set(positions)) == len(positions)
    coords, gap = grid_positions(boxes)
    assert [tuple(c) for c in coords.tolist()] == positions
    np.testing.assert_array_equal(gap, box_of_voxel(coords, boxes))


def test_boxes_are_jittered_and_cut_at_the_border() -> None:
    middle = np.array([[32, 32]], np.int32)
    lows = {tuple(place_boxes(middle, (12, 12), 1, (64, 64), rng(s))[0, 0].tolist()) for s in range(900)}
    assert lows == {(x, y) for x in range(23, 30) for y in range(23, 30)}  # 32 - 6, give or take 12 // 4
    corner = place_boxes(np.array([[0, 63]], np.int32), (12, 12), 1, (64, 64), rng())[0]
    assert corner[0, 0] == 0
    assert corner[1, 1] == 64
    assert (corner[1] - corner[0] < 12).all()


def test_a_box_without_a_free_place_is_left_out() -> None:
    event = make_event([[3, 3, 3]])
    assert len(place_boxes(event.coords, (4, 4, 4), 5, event.image_size, rng())) == 1
    neighbours = np.array([[0, 0], [1, 0]], np.int32)
    assert len(place_boxes(neighbours, (1, 1), 2, (2, 1), rng())) == 2  # boxes may touch
    assert len(place_boxes(random_event(0, 200).coords, (2, 2, 2), 5, (16, 16, 16), rng())) == 5


@given(recipes(), st.integers(1, 6), st.integers(1, 3), st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_masking_equals_a_plain_loop(recipe: Recipe, size: int, count: int, seed: int) -> None:
    event = recipe.event()
    masked = MaskBoxes(size=size, count=count, seed_value=-0.5)(event, rng(seed))
    boxes = place_boxes(event.coords, (size,) * event.dim, count, event.image_size, rng(seed))
    energies = as_rows(event)
    covered = {}
    for number, (low, high) in enumerate(boxes):
        for step in np.ndindex(*(high - low)):
            covered[tuple((low + step).tolist())] = number
    assert {name: masked.labels[name].dtype for name in COLUMNS} == {n: np.dtype(t) for n, t in COLUMNS.items()}

    voxels = [tuple(c) for c in masked.coords.tolist()]
    assert len(set(voxels)) == len(voxels)
    assert set(voxels) == set(energies) | set(covered)
    for row, voxel in enumerate(voxels):
        labels = {name: column[row] for name, column in masked.labels.items()}
        if voxel in covered:
            assert labels["candidate"]
            assert labels["gap"] == covered[voxel]
            assert labels["active"] == (voxel in energies)
            assert labels["target_energy"] == np.float32(energies.get(voxel, 0.0))
            assert labels["semantic"] == labels["instance"] == -1
            assert masked.energy[row] == 0
            assert masked.feats[row].tolist() == [-0.5]
        else:
            assert not labels["candidate"]
            assert not labels["active"]
            assert labels["gap"] == -1
            assert labels["target_energy"] == 0
            assert masked.energy[row] == masked.feats[row, 0] == np.float32(energies[voxel])
    for file_row, here in enumerate(masked.inverse_index):
        voxel = tuple(event.coords[file_row].tolist())
        if voxel in covered:
            assert here == -1
        else:
            assert voxels[here] == voxel
            assert masked.labels["instance"][here] == event.labels["instance"][file_row]


def test_blank_labels_follow_their_type() -> None:
    event = make_event([[1, 1]], image_size=(4, 4)).with_labels(
        score=np.ones(1, np.float64), flag=np.ones(1, np.bool_), pid=np.ones(1, np.int8)
    )
    boxes = np.array([[[0, 0], [2, 2]]])
    labels = mask_regions(event, boxes, np.zeros((4, 1), np.float32)).labels
    assert labels["score"].tolist() == [0.0] * 4
    assert labels["flag"].tolist() == [False] * 4
    assert labels["pid"].tolist() == [-1] * 4
    assert labels["pid"].dtype == np.int8
    unsigned = event.with_labels(pid=np.ones(1, np.uint8))
    with pytest.raises(ValueError, match="pid is uint8"):
        mask_regions(unsigned, boxes, np.zeros((4, 1), np.float32))


def test_random_seed_values() -> None:
    event = random_event(0, 60)
    event = event.replace(feats=np.concatenate([event.feats, event.feats], axis=1))
    masked = MaskBoxes(size=6, seed_value="random")(event, rng())
    seeds = masked.feats[masked.labels["candidate"]]
    assert seeds.shape[1] == 2
    assert seeds.min() < -0.9
    assert seeds.max() > 0.9
    assert abs(seeds.mean()) < 0.15
    assert abs(seeds).max() <= 1


@pytest.mark.parametrize("image_size", [(8, 8), (8, 8, 8)])
def test_an_empty_event_gets_the_columns_and_shares_a_batch(image_size: tuple[int, ...]) -> None:
    empty = MaskBoxes(size=4)(make_event([], image_size=image_size), rng())
    assert len(empty) == 0
    assert {name: empty.labels[name].dtype for name in COLUMNS} == {n: np.dtype(t) for n, t in COLUMNS.items()}
    masked = MaskBoxes(size=4)(random_event(0, 20, image_size, entry=1), rng())
    plain = add_empty_mask(random_event(1, 20, image_size, entry=2))
    assert plain.labels["gap"].tolist() == [-1] * 20
    assert not plain.labels["candidate"].any()
    assert not plain.labels["active"].any()
    batch = collate([empty, masked, plain])
    assert set(COLUMNS) <= set(batch.labels)
    assert batch.offsets.tolist() == [0, 0, len(masked), len(masked) + 20]


def test_one_voxel() -> None:
    masked = MaskBoxes(size=1, count=3)(make_event([[2, 3, 4]], [5.0]), rng())
    assert masked.coords.tolist() == [[2, 3, 4]]
    assert masked.labels["target_energy"].tolist() == [5.0]
    assert masked.inverse_index.tolist() == [-1]


def test_the_same_generator_gives_the_same_mask() -> None:
    event = random_event(0, 100)
    first, again, other = (MaskBoxes(size=4)(event, rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.coords, again.coords)
    assert first.coords.shape != other.coords.shape or (first.coords != other.coords).any()


def test_size_must_fit_the_image() -> None:
    with pytest.raises(UserError, match=r"mask_boxes\.size has 2 numbers"):
        MaskBoxes(size=(4, 4))(random_event(0, 4), rng())


def test_config() -> None:
    assert MaskBoxesConfig().build() == MaskBoxes(size=12, count=2, seed_value=0.0)
    assert MaskBoxesConfig.model_validate({"size": [4, 5], "seed_value": "random"}).build() == MaskBoxes(
        size=(4, 5), seed_value="random"
    )
    for wrong in ({"size": 0}, {"count": 0}, {"seed_value": "noise"}, {"seed_value": float("nan")}):
        with pytest.raises(ValidationError):
            MaskBoxesConfig.model_validate(wrong)

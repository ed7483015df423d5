"""Crop, flip, exchange of axes, shift."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import Recipe, make_event, random_event, recipes
from pydantic import ValidationError

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.transforms import (
    Crop,
    CropConfig,
    Flip,
    FlipConfig,
    PermuteAxes,
    PermuteAxesConfig,
    Transform,
    Translate,
    TranslateConfig,
)
from lartpc_sparse.schema import BadEventError, UserError


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_only_moved(before: Event, after: Event) -> None:
    """Rows stay in place with their energies, labels and particles; voxels stay inside the image."""
    np.testing.assert_array_equal(after.energy, before.energy)
    for name, column in before.labels.items():
        np.testing.assert_array_equal(after.labels[name], column)
    np.testing.assert_array_equal(after.inverse_index, before.inverse_index)
    assert after.particles is before.particles
    assert after.image_size == before.image_size
    assert after.coords.dtype == np.int32
    assert (after.coords >= 0).all()
    assert (after.coords < np.array(before.image_size)).all()


@given(recipes(), st.integers(1, 10), st.sampled_from(["charge", "random", "middle"]), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_crop_keeps_one_box_inside_the_image(recipe: Recipe, size: int, center: str, seed: int) -> None:
    event = recipe.event()
    kept = Crop(size=size, center=center)(event, rng(seed))  # type: ignore[arg-type]
    inside = []
    for low in np.ndindex(*(max(s - size, 0) + 1 for s in event.image_size)):
        rows = ((event.coords >= low) & (event.coords < np.array(low) + size)).all(axis=1)
        inside.append(np.flatnonzero(rows).tolist())
    rows_kept = np.flatnonzero(kept.inverse_index >= 0).tolist()
    assert rows_kept in inside
    np.testing.assert_array_equal(kept.coords, event.coords[rows_kept])
    if center == "charge" and len(event):
        assert len(kept) > 0
    if size >= max(event.image_size):
        assert len(kept) == len(event)


def test_crop_middle_by_hand() -> None:
    event = make_event([[i, 5] for i in range(16)], image_size=(16, 8))
    assert Crop(size=(4, 8), center="middle")(event, rng()).coords[:, 0].tolist() == [6, 7, 8, 9]
    assert len(Crop(size=(4, 2), center="middle")(event, rng())) == 0


def test_crop_charge_follows_the_energy() -> None:
    event = make_event([[0, 0, 0], [15, 15, 15]], [1.0, 3.0])
    drawn = Counter(int(Crop(size=2)(event, rng(seed)).coords[0, 0]) for seed in range(2000))
    assert drawn[15] / 2000 == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 2000))
    without_energy = event.replace(energy=np.zeros(2, np.float32))
    drawn = Counter(int(Crop(size=2)(without_energy, rng(seed)).coords[0, 0]) for seed in range(400))
    assert drawn[15] / 400 == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 400))


def test_crop_charge_is_centred_on_the_voxel() -> None:
    event = make_event([[i, 0] for i in range(32)], [0.0] * 16 + [1.0] + [0.0] * 15, image_size=(32, 1))
    assert Crop(size=(5, 1))(event, rng()).coords[:, 0].tolist() == [14, 15, 16, 17, 18]


def test_crop_random_reaches_every_position_evenly() -> None:
    event = make_event([[i, 0] for i in range(6)], image_size=(6, 1))
    crop = Crop(size=(3, 1), center="random")
    first = Counter(int(crop(event, rng(seed)).coords[0, 0]) for seed in range(2000))
    assert set(first) == {0, 1, 2, 3}
    assert min(first.values()) > 400


def test_crop_refuses_a_size_of_other_dimension() -> None:
    with pytest.raises(UserError, match=r"crop.size has 2 numbers \(4, 4\), but the images have 3 axes"):
        Crop(size=(4, 4))(random_event(0, 4), rng())


def test_crop_refuses_energies_it_cannot_draw_from() -> None:
    with pytest.raises(BadEventError, match="nan"):
        Crop(size=4)(make_event([[0, 0, 0]], [np.nan]), rng())


@given(recipes(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_flip_mirrors_all_axes_and_twice_is_the_identity(recipe: Recipe, seed: int) -> None:
    event = recipe.event()
    flipped = Flip(probability=1.0)(event, rng(seed))
    assert_only_moved(event, flipped)
    np.testing.assert_array_equal(flipped.coords, np.array(event.image_size) - 1 - event.coords)
    np.testing.assert_array_equal(Flip(probability=1.0)(flipped, rng(seed)).coords, event.coords)
    np.testing.assert_array_equal(Flip(probability=0.0)(event, rng(seed)).coords, event.coords)


def test_flip_takes_each_axis_on_its_own() -> None:
    event = make_event([[1, 2, 3]], image_size=(8, 9, 10))
    mirrored = (6, 6, 6)
    seen: Counter[tuple[bool, ...]] = Counter()
    for seed in range(800):
        where = Flip()(event, rng(seed)).coords[0].tolist()
        seen[tuple(w == m for w, m in zip(where, mirrored, strict=True))] += 1
    assert len(seen) == 8
    assert min(seen.values()) > 60
    only = {tuple(Flip(axes=(1,))(event, rng(seed)).coords[0].tolist()) for seed in range(20)}
    assert only == {(1, 2, 3), (1, 6, 3)}


def test_permute_axes_gives_every_order_evenly() -> None:
    event = make_event([[1, 2, 3]])
    seen = Counter(tuple(PermuteAxes()(event, rng(seed)).coords[0].tolist()) for seed in range(1200))
    assert len(seen) == 6
    assert min(seen.values()) > 140
    assert {sum(order) for order in seen} == {6}


def test_permute_axes_among_equal_axes_only() -> None:
    event = make_event([[1, 2, 3]], image_size=(8, 20, 8))
    seen = {tuple(PermuteAxes(axes=(0, 2))(event, rng(seed)).coords[0].tolist()) for seed in range(20)}
    assert seen == {(1, 2, 3), (3, 2, 1)}
    with pytest.raises(UserError, match=r"\[8, 20, 8\]"):
        PermuteAxes()(event, rng())


@given(recipes(min_voxels=1), st.integers(1, 12), st.integers(0, 999))
@settings(max_examples=100, deadline=None)
def test_translate_shifts_all_voxels_alike(recipe: Recipe, max_shift: int, seed: int) -> None:
    event = recipe.event()
    shifted = Translate(max_shift)(event, rng(seed))
    assert_only_moved(event, shifted)
    shift = shifted.coords - event.coords
    assert (shift == shift[0]).all()
    assert np.abs(shift).max() <= max_shift


def test_translate_reaches_every_allowed_shift() -> None:
    event = make_event([[1, 4], [2, 4]], image_size=(6, 9))
    shifts = {tuple((Translate(2)(event, rng(s)).coords[0] - event.coords[0]).tolist()) for s in range(400)}
    assert shifts == {(x, y) for x in (-1, 0, 1, 2) for y in (-2, -1, 0, 1, 2)}


def test_translate_refuses_voxels_outside_the_image() -> None:
    with pytest.raises(BadEventError, match="outside the image"):
        Translate(2)(make_event([[1, 9]], image_size=(6, 9)), rng())


@pytest.mark.parametrize("transform", [Flip(axes=(2,)), PermuteAxes(axes=(0, 2))])
def test_axes_that_do_not_exist_are_refused(transform: Transform) -> None:
    with pytest.raises(UserError, match=r"axes 0\.\.1"):
        transform(make_event([[1, 1]], image_size=(8, 8)), rng())


@pytest.mark.parametrize("image_size", [(8, 8), (8, 8, 8)])
@pytest.mark.parametrize("transform", [Crop(size=4), Flip(), PermuteAxes(), Translate(3)])
def test_empty_events_stay_empty(transform: Transform, image_size: tuple[int, ...]) -> None:
    empty = transform(make_event([], image_size=image_size), rng())
    assert empty.coords.shape == (0, len(image_size))
    assert empty.coords.dtype == np.int32


def test_configs_build_what_they_say() -> None:
    assert CropConfig(size=256).build() == Crop(size=256, center="charge")
    assert CropConfig.model_validate({"size": [2, 3], "center": "middle"}).build() == Crop((2, 3), "middle")
    assert FlipConfig.model_validate({"axes": [0, 2], "probability": 0.25}).build() == Flip((0, 2), 0.25)
    assert PermuteAxesConfig().build() == PermuteAxes()
    assert TranslateConfig(max_shift=9).build() == Translate(9)


def test_configs_refuse_impossible_numbers() -> None:
    for config, values in (
        (CropConfig, {}),
        (CropConfig, {"size": 0}),
        (CropConfig, {"size": 4, "center": "left"}),
        (FlipConfig, {"axes": [0, 0]}),
        (FlipConfig, {"axes": []}),
        (FlipConfig, {"axes": [-1]}),
        (FlipConfig, {"probability": 1.5}),
        (TranslateConfig, {"max_shift": 0}),
    ):
        with pytest.raises(ValidationError):
            config.model_validate(values)

"""Exits, bridges, candidates and fills of a gap."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lartpc_sparse.cluster.gaps import (
    BridgesConfig,
    DenseConfig,
    Fill,
    GrownConfig,
    dilated,
    filled_event,
    find_bridges,
    find_exits,
    own_ends_fill,
    reflection_fill,
    unique_inside,
    voxels_of_line,
)
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.regions import box_of_voxel
from lartpc_sparse.schema import BadEventError, UserError

SIZE = (64, 64, 64)
SLAB = np.array([[[25, 0, 0], [35, 64, 64]]])


def track(slope: tuple[float, ...], start: tuple[float, ...] = (5.0, 20.0, 20.0)) -> np.ndarray:
    """Voxels of a straight track through the slab."""
    length = 50.0
    direction = np.array(slope) / np.linalg.norm(slope)
    voxels, _ = voxels_of_line(np.array(start), np.array(start) + length * direction)
    return voxels


def outside(coords: np.ndarray, boxes: np.ndarray = SLAB) -> np.ndarray:
    return coords[box_of_voxel(coords, boxes) < 0]


@given(st.lists(st.floats(-6, 6), min_size=6, max_size=6))
def test_voxels_of_a_line_equal_a_fine_walk(numbers: list[float]) -> None:
    start, end = np.array(numbers[:3]), np.array(numbers[3:])
    voxels, length = voxels_of_line(start, end)
    assert length.sum() == pytest.approx(np.linalg.norm(end - start), abs=1e-9)
    assert len(np.unique(voxels, axis=0)) == len(voxels)
    walk = start + np.linspace(0, 1, 4001)[:, None] * (end - start)
    near_face = (np.abs(np.mod(walk, 1) - 0.5) < 1e-3).any(axis=1)
    assume(near_face.mean() < 0.05)  # a line within a face belongs to the voxels of either side
    seen = {tuple(row) for row in np.floor(walk[~near_face] + 0.5).astype(int).tolist()}
    assert seen <= {tuple(row) for row in voxels.tolist()}
    missed = length[[tuple(row) not in seen for row in voxels.tolist()]]
    assert (missed < 0.02).all()


@given(st.floats(0, 3), st.integers(2, 3))
def test_dilation_equals_all_distances(radius: float, dim: int) -> None:
    found = {tuple(row) for row in dilated(np.zeros((1, dim), np.int32), radius).tolist()}
    grid = np.stack(np.meshgrid(*[range(-4, 5)] * dim), axis=-1).reshape(-1, dim)
    assert found == {tuple(row) for row in grid[(grid**2).sum(axis=1) <= radius**2].tolist()}


@pytest.mark.parametrize("slope", [(1.0, 0.0, 0.0), (1.0, 0.4, -0.2), (1.0, 0.8, 0.0)])
def test_a_straight_track_has_two_exits_that_face_each_other(slope: tuple[float, ...]) -> None:
    coords = track(slope, (5.0, 20.0, 30.0))
    left = outside(coords)
    exits = find_exits(left, np.ones(len(left), np.float32), SLAB, SIZE)
    assert exits.face.tolist() == [0, 1]
    for row, sign in enumerate((1, -1)):
        angle = np.degrees(np.arccos(np.clip(sign * exits.direction[row] @ slope / np.linalg.norm(slope), -1, 1)))
        assert angle < 8
    pairs = find_bridges(exits, BridgesConfig(), each=1)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])


def test_tracks_that_do_not_continue_each_other_are_not_joined() -> None:
    first, second = track((1.0, 0.0, 0.0), (5.0, 10.0, 10.0)), track((1.0, 0.0, 0.0), (5.0, 50.0, 50.0))
    coords = np.concatenate([first[first[:, 0] < 25], second[second[:, 0] >= 35]])
    exits = find_exits(coords, np.ones(len(coords), np.float32), SLAB, SIZE)
    assert len(exits) == 2
    assert len(find_bridges(exits, BridgesConfig(), each=1)) == 0


def test_a_track_that_grazes_the_gap_is_joined_whichever_way_its_ends_seem_to_point() -> None:
    along = np.arange(64)
    coords = np.stack([22 + along // 4, along, np.full(64, 30)], axis=1).astype(np.int32)
    left = outside(coords)
    exits = find_exits(left, np.ones(len(left), np.float32), SLAB, SIZE, depth=4)
    assert exits.face.tolist() == [0, 1]
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=2)))[:, :, None]
    ways = [dataclasses.replace(exits, direction=sign * exits.direction) for sign in signs]
    strict = BridgesConfig(max_beside=None, grazing=0.0)
    assert sum(len(find_bridges(way, strict, each=1)) for way in ways) == 1
    for way in ways:
        pairs = find_bridges(way, strict.model_copy(update={"grazing": 0.3}), each=1)
        assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])
        assert pairs.angle_deg[0] < 25
    grazing = strict.model_copy(update={"grazing": 0.3})
    beside = np.linalg.norm(exits.place[1] - exits.place[0]) * np.sin(np.radians(pairs.angle_deg[0]))
    for share, number in ((1.01, 1), (0.99, 0)):
        limited = grazing.model_copy(update={"max_beside": share * float(beside)})
        assert len(find_bridges(exits, limited, each=1)) == number


@pytest.mark.parametrize("slope", [(1.0, 0.0, 0.0), (1.0, 0.5, -0.3), (1.0, 0.9, 0.9)])
def test_grown_candidates_reach_a_straight_track(slope: tuple[float, ...]) -> None:
    coords = track(slope)
    left = outside(coords)
    given = GrownConfig().positions(left, np.ones(len(left), np.float32), SLAB, SIZE)
    places, likely = given.coords, given.likelihood
    assert (box_of_voxel(places, SLAB) == 0).all()
    assert len(np.unique(places, axis=0)) == len(places) < 600
    assert ((likely >= 0) & (likely <= 1)).all()
    known = {tuple(row): value for row, value in zip(places.tolist(), likely.tolist(), strict=True)}
    missing = coords[box_of_voxel(coords, SLAB) >= 0]
    assert all(known[tuple(row)] > 0.1 for row in missing.tolist())


@pytest.mark.parametrize(
    "config",
    [
        GrownConfig(),
        GrownConfig(bridges=None),
        GrownConfig(extrapolate=False),
        GrownConfig(reflect=False, bridges=None, extrapolate=False),
        DenseConfig(),
    ],
)
@pytest.mark.parametrize("dim", [2, 3])
def test_candidates_of_anything_lie_in_the_gap(config: GrownConfig | DenseConfig, dim: int) -> None:
    rng = np.random.default_rng(3)
    size = (24,) * dim
    box = np.array([[[8] * dim, [14] * dim], [[12] * dim, [18] * dim]])  # they overlap
    for n in (0, 1, 60):
        flat = rng.choice(24**dim, n, replace=False)
        coords = np.stack(np.unravel_index(flat, size), axis=1).astype(np.int32)
        left = outside(coords, box)
        given = config.positions(left, np.ones(len(left), np.float32), box, size)
        places, likely = given.coords, given.likelihood
        assert len(places) == len(likely)
        assert (box_of_voxel(places, box) >= 0).all()
        assert len(np.unique(places, axis=0)) == len(places)
        if isinstance(config, DenseConfig):
            assert len(places) == 2 * 6**dim - 2**dim


def test_too_large_a_dense_grid_is_refused() -> None:
    with pytest.raises(UserError, match="kind: grown"):
        DenseConfig(max_candidates=100).positions(np.empty((0, 3), np.int32), np.empty(0, np.float32), SLAB, SIZE)


def test_the_line_between_own_ends_is_the_track_again() -> None:
    coords = track((1.0, 0.3, 0.1))
    left = outside(coords)
    fill = own_ends_fill(left, np.full(len(left), 0.6, np.float32), SLAB, SIZE)
    true = {tuple(row) for row in coords[box_of_voxel(coords, SLAB) >= 0].tolist()}
    found = {tuple(row) for row in fill.coords.tolist()}
    assert len(true & found) / len(true | found) > 0.6
    assert fill.energy.sum() == pytest.approx(0.6 * len(true), rel=0.25)


def test_reflection_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    size, box = (16, 16), np.array([[[6, 0], [11, 16]]])
    flat = rng.choice(256, 90, replace=False)
    coords = np.stack(np.unravel_index(flat, size), axis=1).astype(np.int32)
    left = outside(coords, box)
    energy = rng.uniform(0.1, 2, len(left)).astype(np.float32)
    fill = reflection_fill(left, energy, box, size)
    expected = {}
    for (x, y), value in zip(left.tolist(), energy.tolist(), strict=True):
        if 3 <= x < 6:
            expected[11 - x, y] = value
        elif 11 <= x < 13:
            expected[21 - x, y] = value
    assert {tuple(row): value for row, value in zip(fill.coords.tolist(), fill.energy.tolist(), strict=True)} == (
        pytest.approx(expected)
    )


def event_of(coords: np.ndarray) -> Event:
    rng = np.random.default_rng(1)
    n = len(coords)
    labels = {"semantic": rng.integers(0, 3, n), "instance": rng.integers(-1, 4, n), "score": rng.random(n)}
    return Event(EventKey("a.h5", 0), coords, rng.uniform(0.1, 3, n).astype(np.float32), SIZE, labels=labels)


def test_nothing_outside_the_gap_changes_bit_for_bit() -> None:
    event = event_of(track((1.0, 0.3, 0.1)))
    fill = Fill(np.array([[30, 1, 1], [26, 3, 3]], np.int32), np.array([1.5, 0.5], np.float32))
    filled = filled_event(event, SLAB, fill)
    kept = np.flatnonzero(box_of_voxel(event.coords, SLAB) < 0)
    for before, after in (
        (event.coords, filled.coords),
        (event.energy, filled.energy),
        (event.feats, filled.feats),
        *((event.labels[name], filled.labels[name]) for name in event.labels),
    ):
        assert before.dtype == after.dtype
        assert before[kept].tobytes() == after[: len(kept)].tobytes()
    np.testing.assert_array_equal(filled.coords[len(kept) :], fill.coords)
    assert filled.labels["instance"][len(kept) :].tolist() == [-1, -1]
    assert (filled.inverse_index[kept] == np.arange(len(kept))).all()


def test_an_event_without_a_gap_comes_back_as_it_is() -> None:
    event = event_of(track((0.0, 1.0, 0.0)))
    assert filled_event(event, SLAB, Fill.nothing(3)) is event
    none = np.empty((0, 2, 3), np.int64)
    assert filled_event(event, none, own_ends_fill(event.coords, event.energy, none, SIZE)) is event


def test_a_fill_outside_the_gaps_is_refused() -> None:
    event = event_of(track((1.0, 0.0, 0.0)))
    with pytest.raises(BadEventError, match="outside of the gaps"):
        filled_event(event, SLAB, Fill(np.array([[1, 1, 1]], np.int32), np.ones(1, np.float32)))
    with pytest.raises(BadEventError, match="not finite"):
        filled_event(event, SLAB, Fill(np.array([[30, 1, 1]], np.int32), np.array([np.nan], np.float32)))


def test_unique_inside_drops_what_lies_beyond() -> None:
    coords = np.array([[0, 0], [0, 0], [-1, 3], [4, 4], [3, 1]], np.int32)
    assert unique_inside(coords, (4, 4)).tolist() == [[0, 0], [3, 1]]

"""The refinements of clusters against loops, and by hand."""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lartpc_sparse.cluster import (
    AbsorbSmallConfig,
    ClusterThresholds,
    JoinCollinearConfig,
    RefinementConfig,
    RefinementField,
    SplitUnconnectedConfig,
    absorb_small,
    cluster_ends,
    connected_components,
    decode_embedding,
    decode_in_groups,
    join_collinear,
    local_directions,
    numbered_by_first,
    refine_clusters,
    split_unconnected,
)

EVERY = (
    SplitUnconnectedConfig(),
    AbsorbSmallConfig(),
    AbsorbSmallConfig(min_voxels=3, radius=4.0),
    JoinCollinearConfig(min_voxels=2),
)
LOOSE = {"max_gap": 6.0, "max_angle_deg": 40.0, "max_offset": 2.0, "min_voxels": 3, "end_radius": 4.0}


@st.composite
def clustered(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Voxels in a small box, so that clusters touch, with clusters anywhere or in blobs."""
    side, dim = draw(st.integers(2, 7)), draw(st.integers(2, 3))
    number = draw(st.integers(0, min(40, side**dim)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    where = rng.choice(side**dim, size=number, replace=False)
    coords = np.stack(np.unravel_index(where, (side,) * dim), axis=1).astype(np.int32)
    if draw(st.booleans()):
        return coords, rng.integers(-1, 6, number)
    centres = rng.integers(0, side, (4, dim))
    return coords, ((coords[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1).astype(np.int64)


def by_first(clusters: list[int]) -> list[int]:
    names: dict[int, int] = {}
    return [-1 if number < 0 else names.setdefault(number, len(names)) for number in clusters]


@given(st.lists(st.integers(-3, 5)))
def test_numbers_follow_the_first_voxels(clusters: list[int]) -> None:
    assert numbered_by_first(np.array(clusters, dtype=np.int64)).tolist() == by_first(clusters)


@given(clustered())
def test_split_is_connected_components_of_clusters(event: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_array_equal(split_unconnected(*event), connected_components(*event))


def naive_absorb(coords: np.ndarray, clusters: np.ndarray, min_voxels: int, radius: float) -> list[int]:
    own = by_first(clusters.tolist())

    def sizes() -> dict[int, int]:
        return {number: own.count(number) for number in set(own) - {-1}}

    def give(choice: dict[int, tuple[float, int]]) -> None:
        own[:] = [choice[number][1] if number in choice else number for number in own]

    while True:
        size = sizes()
        shared: dict[tuple[int, int], int] = {}
        for i, j in itertools.permutations(range(len(own)), 2):
            a, b = own[i], own[j]
            if min(a, b) >= 0 and a != b and size[a] < min_voxels <= size[b]:
                shared[a, b] = shared.get((a, b), 0) + bool(abs(coords[i] - coords[j]).max() <= 1)
        best: dict[int, tuple[float, int]] = {}
        for (a, b), number in shared.items():
            if number:
                best[a] = min(best.get(a, (0, 0)), (-number, b))
        if not best:
            break
        give(best)
    give(naive_nearest(coords, own, sizes(), min_voxels, radius))
    return by_first(own)


def naive_nearest(
    coords: np.ndarray, own: list[int], size: dict[int, int], min_voxels: int, radius: float
) -> dict[int, tuple[float, int]]:
    near: dict[int, tuple[float, int]] = {}
    for i, j in itertools.permutations(range(len(own)), 2):
        a, b = own[i], own[j]
        distance = float(np.linalg.norm(coords[i] - coords[j]))
        if min(a, b) >= 0 and size[a] < min_voxels <= size[b] and 0 < distance <= radius:
            near[a] = min(near.get(a, (np.inf, 0)), (distance, b))
    return near


@settings(max_examples=60, deadline=None)
@given(clustered(), st.integers(1, 6), st.sampled_from([0.0, 2.0, 3.5]))
def test_absorb_is_the_loop(event: tuple[np.ndarray, np.ndarray], min_voxels: int, radius: float) -> None:
    found = absorb_small(*event, min_voxels=min_voxels, radius=radius)
    assert found.tolist() == naive_absorb(*event, min_voxels, radius)


def test_a_chain_of_small_clusters_follows_its_end() -> None:
    coords = np.array([[x, 0] for x in (0, 1, 2, 3, 4, 9)], dtype=np.int32)
    clusters = np.array([0, 0, 0, 1, 2, 3])
    assert absorb_small(coords, clusters, min_voxels=3).tolist() == [0, 0, 0, 0, 0, 1]
    assert absorb_small(coords, clusters, min_voxels=3, radius=5.0).tolist() == [0] * 6
    assert absorb_small(coords, clusters, min_voxels=3, radius=4.9).tolist() == [0, 0, 0, 0, 0, 1]


def naive_direction(coords: np.ndarray, clusters: np.ndarray, row: int, radius: float) -> tuple[np.ndarray, int]:
    near = coords[(clusters == clusters[row]) & (np.linalg.norm(coords - coords[row], axis=1) <= radius)]
    centred = near - near.mean(axis=0)
    axis = np.linalg.svd(centred)[2][0]
    return (axis if (coords[row] - near.mean(axis=0)) @ axis >= 0 else -axis), len(near)


@settings(max_examples=60, deadline=None)
@given(clustered(), st.floats(1, 8))
def test_directions_are_those_of_a_singular_value_decomposition(
    event: tuple[np.ndarray, np.ndarray], radius: float
) -> None:
    coords, clusters = event
    rows = np.flatnonzero(clusters >= 0)
    found, voxels = local_directions(coords, clusters, rows, radius)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    for row, direction, number in zip(rows, found, voxels, strict=True):
        expected, count = naive_direction(coords, clusters, row, radius)
        assert number == count
        near = coords[(clusters == clusters[row]) & (np.linalg.norm(coords - coords[row], axis=1) <= radius)]
        spread = np.linalg.svd(near - near.mean(axis=0), compute_uv=False)
        if count > 1 and (len(spread) < 2 or spread[0] > spread[1] + 1e-6):  # else every axis is as good
            assert abs(found[0] @ found[0]) == pytest.approx(1)
            assert abs(direction @ expected) == pytest.approx(1, abs=1e-6)
            if abs((coords[row] - near.mean(axis=0)) @ expected) > 1e-6:
                assert direction @ expected > 0


@given(clustered())
def test_ends_are_the_farthest_voxels_along_the_axis(event: tuple[np.ndarray, np.ndarray]) -> None:
    coords, clusters = event
    numbers, ends = cluster_ends(coords, clusters)
    assert numbers.tolist() == sorted(set(clusters.tolist()) - {-1})
    for number, pair in zip(numbers, ends, strict=True):
        own = coords[clusters == number].astype(float)
        axis = np.linalg.svd(own - own.mean(axis=0))[2][0]
        spread = np.linalg.svd(own - own.mean(axis=0), compute_uv=False)
        assert (clusters[pair] == number).all()
        if len(own) > 1 and (len(spread) < 2 or spread[0] > spread[1] + 1e-6):
            along = own @ axis
            assert sorted(coords[pair] @ axis) == pytest.approx([along.min(), along.max()], abs=1e-5)


def naive_join(coords: np.ndarray, clusters: np.ndarray, limits: dict[str, float]) -> list[int]:
    own = np.array(by_first(clusters.tolist()), dtype=np.int64)
    kept = np.array([number >= 0 and int((own == number).sum()) >= limits["min_voxels"] for number in own], dtype=bool)
    _, ends = cluster_ends(coords, np.where(kept, own, -1))
    rows = ends.reshape(-1).tolist()
    out = [local_directions(coords, own, np.array([row]), limits["end_radius"])[0][0] for row in rows]
    found = []
    for a, b in itertools.combinations(range(len(rows)), 2):
        gap = (coords[rows[b]] - coords[rows[a]]).astype(float)
        angle = np.degrees(np.arccos(np.clip(-(out[a] @ out[b]), -1, 1)))
        ok = own[rows[a]] != own[rows[b]] and np.linalg.norm(gap) <= limits["max_gap"]
        ok &= angle <= limits["max_angle_deg"]
        for u in (out[a], -out[b]):
            ok &= np.linalg.norm(gap - (gap @ u) * u) <= limits["max_offset"] and gap @ u >= -limits["max_offset"]
        if ok:
            found.append((round(angle, 6), round(float(np.linalg.norm(gap)), 6), a, b))
    used: set[int] = set()
    for _, _, a, b in sorted(found):
        if not {a, b} & used:
            used |= {a, b}
            own = np.where(own == own[rows[b]], own[rows[a]], own)
    return by_first(own.tolist())


@settings(max_examples=60, deadline=None)
@given(clustered())
def test_join_is_the_loop(event: tuple[np.ndarray, np.ndarray]) -> None:
    assert join_collinear(*event, **LOOSE).tolist() == naive_join(*event, LOOSE)


def line(start: tuple[int, ...], step: tuple[int, ...], number: int) -> np.ndarray:
    return np.array(start) + np.arange(number)[:, None] * np.array(step)


@pytest.mark.parametrize(
    ("second", "joined"),
    [
        (line((18, 10, 10), (1, 0, 0), 10), True),  # goes on after a gap of 8
        (line((18, 12, 10), (1, 0, 0), 10), True),  # and 2 voxels beside it
        (line((18, 15, 10), (1, 0, 0), 10), False),  # 5 voxels beside it
        (line((22, 10, 10), (1, 0, 0), 10), False),  # too far away
        (line((12, 10, 10), (0, 1, 0), 10), False),  # at a right angle
        (line((10, 12, 10), (-1, 0, 0), 10), False),  # parallel, side by side
        (line((12, 10, 10), (1, 0, 0), 5), False),  # too short
    ],
)
def test_pieces_of_a_track_are_joined(second: np.ndarray, joined: bool) -> None:
    first = line((1, 10, 10), (1, 0, 0), 10)
    coords = np.concatenate([first, second]).astype(np.int32)
    clusters = np.repeat([0, 1], [len(first), len(second)])
    found = JoinCollinearConfig().refine(coords, clusters)
    assert len(set(found.tolist())) == (1 if joined else 2)


def test_three_pieces_become_one_and_a_kink_stays() -> None:
    pieces = [line((x, x, 5), (1, 1, 0), 9) for x in (0, 12, 24)] + [line((34, 33, 6), (0, 0, 1), 9)]
    coords = np.concatenate(pieces).astype(np.int32)
    clusters = np.repeat([3, 1, 2, 7], 9)
    assert JoinCollinearConfig().refine(coords, clusters).tolist() == [0] * 27 + [1] * 9


@pytest.mark.parametrize("refinement", EVERY, ids=lambda refinement: refinement.kind)
@pytest.mark.parametrize("dim", [2, 3])
def test_nothing_and_one_voxel(refinement: RefinementConfig, dim: int) -> None:
    assert refinement.refine(np.empty((0, dim), dtype=np.int32), np.empty(0, dtype=np.int64)).shape == (0,)
    one = np.zeros((1, dim), dtype=np.int32)
    assert refinement.refine(one, np.array([4])).tolist() == [0]
    assert refinement.refine(one, np.array([-1])).tolist() == [-1]


@settings(max_examples=30, deadline=None)
@given(clustered())
def test_unassigned_voxels_stay_and_twice_changes_little(event: tuple[np.ndarray, np.ndarray]) -> None:
    coords, clusters = event
    for refinement in EVERY:
        found = refinement.refine(coords, clusters)
        np.testing.assert_array_equal(found >= 0, clusters >= 0)
        assert found.tolist() == by_first(found.tolist())
    for refinement in EVERY[:3]:
        found = refinement.refine(coords, clusters)
        np.testing.assert_array_equal(refinement.refine(coords, found), found)


def test_refinements_are_done_in_their_order() -> None:
    coords = np.array([[0, 0], [0, 1], [0, 2], [0, 3], [0, 9]], dtype=np.int32)
    clusters = np.array([0, 0, 0, 1, 0])
    split, absorb = SplitUnconnectedConfig(), AbsorbSmallConfig(min_voxels=2, radius=20.0)
    assert refine_clusters(coords, clusters, ()).tolist() == [0, 0, 0, 1, 0]
    assert refine_clusters(coords, clusters, (split, absorb)).tolist() == [0] * 5
    assert refine_clusters(coords, clusters, (absorb, split)).tolist() == [0, 0, 0, 0, 1]


def test_a_chain_chooses_by_kind() -> None:
    adapter: TypeAdapter[RefinementConfig] = TypeAdapter(Annotated[RefinementField, None])
    found = adapter.validate_python({"kind": "join_collinear", "max_gap": 7})
    assert found == JoinCollinearConfig(max_gap=7.0)
    with pytest.raises(ValueError, match="valid: split_unconnected, absorb_small, join_collinear"):
        adapter.validate_python({"kind": "glue"})


def test_decoding_in_groups_is_decoding_each_group() -> None:
    rng = np.random.default_rng(0)
    n = 60
    group = rng.integers(0, 5, n)
    embedding, margin = rng.normal(size=(n, 3)).astype(np.float32), np.full(n, 0.5, dtype=np.float32)
    seediness = rng.random(n).astype(np.float32)
    thresholds = ClusterThresholds(seed=0.5, probability=0.3)
    found = decode_in_groups(group, embedding, margin, seediness, thresholds=thresholds, leftover="nearest")
    first = 0
    for number in range(5):
        rows = group == number
        expected = decode_embedding(
            embedding[rows],
            margin[rows],
            seediness[rows],
            seed_threshold=0.5,
            probability_threshold=0.3,
            leftover="nearest",
        )
        assert found[rows].tolist() == (expected + first).tolist()
        first += int(expected.max()) + 1
    nothing = np.empty(0, dtype=np.int64)
    assert decode_in_groups(
        nothing, embedding[:0], margin[:0], seediness[:0], thresholds=thresholds, leftover="nearest"
    ).shape == (0,)

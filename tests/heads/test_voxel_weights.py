"""Voxel weights of the semantic loss against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from labelled_events import CLASSES, make_event, random_event
from pydantic import ValidationError

from lartpc_sparse.heads import voxel_weights
from lartpc_sparse.heads.voxel_weights import (
    ClusterVertexConfig,
    InverseFrequencyConfig,
    NoWeightingConfig,
    PublicCodeConfig,
    SemanticWeights,
    TrueVoxels,
    WeightingConfig,
    cluster_weights,
    near_other_class,
)

Rows = list[tuple[tuple[int, ...], int, int]]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[int, Rows]:
    """D and, for each voxel, position, class and instance; -1 is unlabelled."""
    dim = draw(st.sampled_from([2, 3]))
    voxel = st.tuples(*[st.integers(0, 7)] * dim)
    row = st.tuples(voxel, st.integers(-1, 2), st.integers(-1, 2))
    return dim, draw(st.lists(row, max_size=20, unique_by=lambda row: row[0]))


def columns(dim: int, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    coords = np.array([row[0] for row in rows], dtype=np.int32).reshape(-1, dim)
    semantic, instance = (np.array([row[n] for row in rows], dtype=np.int64) for n in (1, 2))
    return coords, semantic, instance


def published_weights(rows: Rows, distance: float) -> list[float]:
    """Cluster weight within [2e-4, 2e-2] plus 2e-2 near another class; loops over all pairs."""
    weights = []
    for where, own, instance in rows:
        size = sum((c, k) == (own, instance) for _, c, k in rows)
        near = any(c not in (-1, own) and np.linalg.norm(np.subtract(where, x)) <= distance for x, c, _ in rows)
        weights.append(0.0 if own < 0 else min(max(1 / size, 2e-4), 2e-2) + 2e-2 * near)
    return weights


@given(crowd=crowds(), distance=st.sampled_from([1.0, 1.5, 3.0, 4.0]))
def test_published_weights_equal_all_pairs(crowd: tuple[int, Rows], distance: float) -> None:
    dim, rows = crowd
    found = ClusterVertexConfig(vertex_distance=distance).weights(TrueVoxels(*columns(dim, rows)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, published_weights(rows, distance), rtol=1e-6)


def near_by_all_pairs(coords: np.ndarray, semantic: np.ndarray, distance: float, box: bool) -> list[bool]:
    near = []
    for where, own in zip(coords, semantic, strict=True):
        gap = np.abs(coords - where).astype(float)
        length = gap.max(axis=1, initial=0) if box else np.sqrt((gap**2).sum(axis=1))
        near.append(own >= 0 and bool(((length <= distance) & (semantic >= 0) & (semantic != own)).any()))
    return near


@pytest.mark.parametrize("compiled", [True, False])
@given(crowd=crowds(), distance=st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0, 4.5]), box=st.booleans(), far=st.booleans())
def test_near_another_class_equals_all_pairs(
    compiled: bool, crowd: tuple[int, Rows], distance: float, box: bool, far: bool
) -> None:
    coords, semantic, _ = columns(*crowd)
    coords = coords * np.int32(700 if far else 1) - np.int32(3)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(voxel_weights, "missing_reason", lambda: "no compiler")
        elif voxel_weights.missing_reason() is not None:
            pytest.skip("the C++ kernels were not built")
        found = near_other_class(coords, semantic, distance, box=box)
    assert found.tolist() == near_by_all_pairs(coords, semantic, distance, box)


@given(crowd=crowds())
def test_public_code_looks_in_a_box(crowd: tuple[int, Rows]) -> None:
    coords, semantic, instance = columns(*crowd)
    near = near_by_all_pairs(coords, semantic, 3.0, box=True)
    expected = [0.0 if own < 0 else 2.0 if close else 0.5 for own, close in zip(semantic, near, strict=True)]
    assert PublicCodeConfig().weights(TrueVoxels(coords, semantic, instance)).tolist() == expected


@given(crowd=crowds(), power=st.sampled_from([0.5, 1.0]), given=st.booleans())
def test_inverse_frequency_gives_every_class_its_share(crowd: tuple[int, Rows], power: float, given: bool) -> None:
    classes = ("a", "b", "c")
    config = InverseFrequencyConfig(power=power, frequencies={"a": 0.5, "b": 0.3, "c": 0.2} if given else None)
    coords, semantic, instance = columns(*crowd)
    one = torch.from_numpy(config.weights(TrueVoxels(coords, semantic, instance)))
    assert one.tolist() == [float(own >= 0) for own in semantic]
    found = config.in_batch(one, torch.from_numpy(semantic), classes)
    number = np.bincount(semantic[semantic >= 0], minlength=3)
    frequency = np.array([0.5, 0.3, 0.2]) if given else number / max(number.sum(), 1)
    expected = [0.0 if own < 0 else frequency[own] ** -power for own in semantic]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


@given(crowd=crowds())
def test_without_weighting_every_labelled_voxel_counts_one(crowd: tuple[int, Rows]) -> None:
    dim, rows = crowd
    found = NoWeightingConfig().weights(TrueVoxels(*columns(dim, rows)))
    assert found.tolist() == [float(own >= 0) for _, own, _ in rows]


@pytest.mark.parametrize(
    ("size", "expected"), [(1, 2e-2), (50, 2e-2), (51, 1 / 51), (1000, 1e-3), (5000, 2e-4), (20000, 2e-4)]
)
def test_cluster_weight_is_limited(size: int, expected: float) -> None:
    nothing = np.zeros(size, dtype=np.int64)
    found = cluster_weights(nothing, nothing, ClusterVertexConfig().cluster_min, ClusterVertexConfig().cluster_max)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_cluster_is_an_instance_within_a_class() -> None:
    semantic = np.array([0, 0, 0, 1, 1, -1])
    instance = np.array([5, 5, 6, 5, -1, 5])
    found = cluster_weights(semantic, instance, 0.0, 1.0)
    assert found[:5].tolist() == [0.5, 0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("offset", "near"), [((3, 0, 0), True), ((2, 2, 1), True), ((3, 1, 0), False), ((4, 0, 0), False)]
)
def test_three_voxels_include_the_third(offset: tuple[int, ...], near: bool) -> None:
    coords = np.array([(5, 5, 5), np.add((5, 5, 5), offset)], dtype=np.int32)
    assert near_other_class(coords, np.array([0, 1]), 3.0).tolist() == [near, near]


def test_an_unlabelled_voxel_is_no_other_class() -> None:
    coords = np.array([(5, 5), (5, 6), (5, 7)], dtype=np.int32)
    assert near_other_class(coords, np.array([0, -1, 0]), 3.0).tolist() == [False, False, False]
    assert near_other_class(coords, np.array([0, -1, 1]), 3.0).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "weighting", [ClusterVertexConfig(), PublicCodeConfig(), InverseFrequencyConfig(), NoWeightingConfig()]
)
def test_transform_adds_a_column_of_the_head_classes(weighting: WeightingConfig) -> None:
    event = random_event(0, 3)
    transform = SemanticWeights(weighting, {"tracks": ("HIP", "MIP"), "shower": ("shower",)})
    found = transform(event, np.random.default_rng(0)).labels["semantic_weight"]
    grouped = np.array([0, 0, 1, -1, -1, -1, -1])[event.labels["semantic"]]
    np.testing.assert_array_equal(found, weighting.weights(TrueVoxels(event.coords, grouped, event.labels["instance"])))
    assert ((found > 0) == (grouped >= 0)).all()
    assert "semantic_weight" not in event.labels


def test_transform_without_instances_takes_a_class_as_one_cluster() -> None:
    event = make_event([(n, 0, 0) for n in range(100)], np.zeros(100))
    event = event.replace(labels={"semantic": event.labels["semantic"]})
    transform = SemanticWeights(ClusterVertexConfig(), {name: (name,) for name in CLASSES})
    np.testing.assert_allclose(transform(event, np.random.default_rng(0)).labels["semantic_weight"], 0.01, rtol=1e-6)


def test_real_data_passes_unchanged() -> None:
    event = make_event([(0, 0, 0)]).replace(labels={})
    assert SemanticWeights(ClusterVertexConfig(), {"HIP": ("HIP",)})(event, np.random.default_rng(0)) is event


@pytest.mark.parametrize(
    "wrong", [{"cluster_min": 0.0}, {"vertex": -1.0}, {"vertex_distance": 0.0}, {"verteks": 1.0}, {"cluster_min": 0.03}]
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        ClusterVertexConfig.model_validate(wrong)

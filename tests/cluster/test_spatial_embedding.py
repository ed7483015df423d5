from __future__ import annotations

import numpy as np
import pytest
from embedding_events import decode_slowly, events
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lartpc_sparse.cluster import ClusterThresholds, decode_embedding


def decode(embedding, margin, seediness, **options):
    chosen = {"seed_threshold": 0.5, "probability_threshold": 0.5, "leftover": "nearest", **options}
    return decode_embedding(
        np.asarray(embedding, np.float32), np.asarray(margin, np.float32), np.asarray(seediness, np.float32), **chosen
    )


@settings(max_examples=150, deadline=None)
@given(
    events(),
    st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
    st.sampled_from([0.13, 0.24, 0.48, 0.9]),
    st.sampled_from(["nearest", "unassigned"]),
    st.integers(1, 4),
)
def test_equals_the_naive_reference(event, seed, probability, leftover, min_voxels):
    found = decode_embedding(
        *event,
        seed_threshold=seed,
        probability_threshold=probability,
        leftover=leftover,
        min_voxels=min_voxels,
    )
    assert found.dtype == np.int64
    assert found.tolist() == decode_slowly(*event, seed, probability, leftover, min_voxels)


@pytest.mark.parametrize("leftover", ["nearest", "unassigned"])
def test_equals_the_naive_reference_on_a_larger_event(leftover):
    rng = np.random.default_rng(3)
    centre = rng.uniform(-1, 1, (12, 3))
    embedding = (centre[rng.integers(0, 12, 400)] + rng.normal(0, 0.05, (400, 3))).astype(np.float32)
    margin, seediness = rng.uniform(0.02, 0.2, 400).astype(np.float32), rng.random(400).astype(np.float32)
    found = decode(embedding, margin, seediness, seed_threshold=0.8, leftover=leftover, min_voxels=3)
    assert found.tolist() == decode_slowly(embedding, margin, seediness, 0.8, 0.5, leftover, 3)
    assert found.max() > 5


def test_ids_follow_the_order_of_claiming():
    found = decode([[0, 0], [0, 0.01], [1, 1], [1, 1.01]], [0.1] * 4, [0.6, 0.7, 0.8, 0.9])
    assert found.tolist() == [1, 1, 0, 0]


def test_leftover_goes_to_the_highest_probability_not_the_nearest_centre():
    # voxel 2 is nearer to the seed 1, but the wide cluster of seed 0 gives it the higher p
    embedding, margin, seediness = [[0, 0], [1, 0], [0.6, 0]], [0.4, 0.1, 0.1], [0.9, 0.8, 0.1]
    assert decode(embedding, margin, seediness).tolist() == [0, 1, 0]
    assert decode(embedding, margin, seediness, leftover="unassigned").tolist() == [0, 1, -1]


def test_far_leftover_is_decided_although_its_probability_underflows():
    found = decode([[0, 0], [1, 0], [1000, 0]], [0.01] * 3, [0.9, 0.8, 0.1])
    assert found.tolist() == [0, 1, 1]


def test_a_small_cluster_is_dissolved_and_ids_stay_dense():
    embedding, margin = [[0, 0], [1, 0], [1, 0.01], [1.4, 0]], [0.1] * 4
    seediness = [0.9, 0.8, 0.7, 0.6]
    assert decode(embedding, margin, seediness, min_voxels=2).tolist() == [0, 0, 0, 0]
    assert decode(embedding, margin, seediness, min_voxels=2, leftover="unassigned").tolist() == [-1, 0, 0, -1]


@pytest.mark.parametrize("leftover", ["nearest", "unassigned"])
def test_no_seed_gives_one_cluster(leftover):
    assert decode([[0, 0], [9, 9]], [0.1, 0.1], [0.4, 0.3], leftover=leftover).tolist() == [0, 0]


def test_seed_at_the_threshold_counts():
    assert decode([[0, 0], [9, 9]], [0.1, 0.1], [0.5, 0.5]).tolist() == [0, 1]


def test_empty_event_and_one_voxel():
    empty = decode(np.zeros((0, 3)), [], [])
    assert empty.shape == (0,)
    assert empty.dtype == np.int64
    assert decode([[0.3, 0.1]], [0.0], [0.9]).tolist() == [0]


@settings(max_examples=40, deadline=None)
@given(events(), st.randoms(use_true_random=False))
def test_the_partition_does_not_depend_on_the_order_of_voxels(event, random):
    embedding, margin, _ = event
    n = len(embedding)
    seediness = (np.arange(1, n + 1) / (n + 1)).astype(np.float32)  # no ties
    order = np.array(random.sample(range(n), n), dtype=np.int64)
    straight = decode(embedding, margin, seediness, leftover="unassigned")
    shuffled = decode(embedding[order], margin[order], seediness[order], leftover="unassigned")
    assert straight[order].tolist() == shuffled.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding": np.array([[np.nan, 0], [0, 0]], np.float32)}, "embedding are not finite"),
        ({"margin": np.array([np.inf, 1], np.float32)}, "margin are not finite"),
        ({"seediness": np.array([np.nan, 1], np.float32)}, "seediness are not finite"),
        ({"margin": np.array([-0.1, 1], np.float32)}, "negative"),
        ({"margin": np.ones(3, np.float32)}, "margin has shape"),
        ({"seediness": np.ones((2, 1), np.float32)}, "seediness has shape"),
        ({"embedding": np.zeros(2, np.float32)}, "embedding must have shape"),
        ({"probability_threshold": 0.0}, "probability_threshold"),
        ({"probability_threshold": 1.0}, "probability_threshold"),
        ({"min_voxels": 0}, "min_voxels"),
        ({"leftover": "none"}, "leftover"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_refuses_bad_input(change, message):
    arguments = {
        "embedding": np.zeros((2, 2), np.float32),
        "margin": np.ones(2, np.float32),
        "seediness": np.ones(2, np.float32),
        "seed_threshold": 0.5,
        "probability_threshold": 0.5,
        "leftover": "nearest",
        **change,
    }
    with pytest.raises(ValueError, match=message):
        decode_embedding(**arguments)


def test_thresholds_are_bounded():
    for bad in ({"seed": 1.1, "probability": 0.5}, {"seed": 0.5, "probability": 0.0}, {"seed": 0.5}):
        with pytest.raises(ValidationError):
            ClusterThresholds(**bad)

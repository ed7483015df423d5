"""Voxels of an instance vote between classes; against a loop over the clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.heads.semantic_vote import VoteConfig
from lartpc_sparse.schema import UserError

NAMES = ("HIP", "MIP", "shower", "delta", "Michel")


def predicted(seed: int, voxels: int = 60, clusters: int = 5) -> Prediction:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.full(len(NAMES), 0.5), voxels).astype(np.float32)
    return Prediction(
        key=EventKey("made", seed),
        coords=rng.integers(0, 9, (voxels, 3)).astype(np.int32),
        energy=np.ones(voxels, np.float32),
        columns={
            "semantic/probability": probability,
            "semantic/label": probability.argmax(1).astype(np.int8),
            "particles/cluster": rng.integers(-1, clusters, voxels).astype(np.int32),
        },
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([("HIP", "MIP"), ("MIP", "delta", "HIP"), NAMES]))
def test_a_cluster_has_the_class_of_the_highest_sum(seed: int, classes: tuple[str, ...]) -> None:
    before = predicted(seed)
    after = VoteConfig(classes=classes).apply(before, "semantic", NAMES)
    label, cluster = before.columns["semantic/label"], before.columns["particles/cluster"]
    expected = label.copy()
    numbers = [NAMES.index(name) for name in classes]
    for number in range(5):
        rows = [row for row in range(len(label)) if cluster[row] == number and label[row] in numbers]
        if rows:
            sums = [sum(float(before.columns["semantic/probability"][row, k]) for row in rows) for k in numbers]
            expected[rows] = numbers[int(np.argmax(sums))]
    np.testing.assert_array_equal(after.columns["semantic/label"], expected)
    assert after.columns["semantic/label"].dtype == label.dtype
    assert after.columns["semantic/probability"] is before.columns["semantic/probability"]
    again = VoteConfig(classes=classes).apply(after, "semantic", NAMES)
    np.testing.assert_array_equal(again.columns["semantic/label"], after.columns["semantic/label"])


def test_an_event_without_such_voxels_stays() -> None:
    for event in (predicted(1, voxels=0), predicted(2, clusters=0)):
        after = VoteConfig().apply(event, "semantic", NAMES)
        np.testing.assert_array_equal(after.columns["semantic/label"], event.columns["semantic/label"])


def test_decisions_are_made_of_the_probabilities_and_do_not_see_the_vote() -> None:
    decisions = {"clusters": {"kind": "instances"}}
    plain = SemanticConfig.model_validate({"decisions": decisions}).finish("semantic", predicted(3))
    after = SemanticConfig.model_validate({"vote": {}, "decisions": decisions}).finish("semantic", predicted(3))
    voted = VoteConfig().apply(predicted(3), "semantic", NAMES)
    assert (voted.columns["semantic/label"] != plain.columns["semantic/label"]).any()
    np.testing.assert_array_equal(after.columns["semantic/label"], voted.columns["semantic/label"])
    np.testing.assert_array_equal(after.columns["semantic/track_shower"], plain.columns["semantic/track_shower"])


@pytest.mark.parametrize(
    ("vote", "match"),
    [
        ({"classes": ["HIP", "muon"]}, "HIP, muon; they must be different ones of HIP, MIP, shower"),
        ({"classes": ["HIP", "HIP"]}, "different"),
    ],
)
def test_wrong_classes_are_named(vote: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SemanticConfig.model_validate({"vote": vote})


def test_instances_need_a_head_that_finds_them() -> None:
    head = SemanticConfig.model_validate({"vote": {}})
    head.check_heads({"semantic": "semantic", "particles": "voxel_graph"})
    with pytest.raises(ValueError, match=r"vote .*: clusters of kind instances need one head .*; or set vote: null"):
        head.check_heads({"semantic": "semantic"})
    event = predicted(4)
    del event.columns["particles/cluster"]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="head of kind"):
        head.finish("semantic", event)

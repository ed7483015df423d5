"""Decisions that do not fit the classes or the model are refused before anything runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lartpc_sparse.heads import SemanticConfig
from lartpc_sparse.heads.decisions import DecisionConfig
from lartpc_sparse.network import ModelConfig


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ({"shower_classes": ["shwr"]}, "shower_classes name shwr"),
        ({"track_classes": ["MIP", "shower"]}, "shower cannot be both"),
        ({"electron_classes": ["e"]}, "electron_classes name e"),
        ({"voxel_cut": 1.5}, "less than or equal to 1"),
        ({"clusters": {"kind": "conected"}}, "valid: truth, connected, dbscan, instances"),
    ],
)
def test_refused_at_once(decisions: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SemanticConfig.model_validate({"decisions": decisions})


def test_groups_follow_the_classes_of_the_head() -> None:
    numbers = DecisionConfig().class_numbers(("shower", "track", "Michel", "delta"))
    assert (sorted(numbers.shower), numbers.track, numbers.electron) == ([0, 2, 3], (1,), (0,))
    with pytest.raises(ValueError, match="find no class by its usual name"):
        DecisionConfig().class_numbers(("shower", "other"))
    with pytest.raises(ValidationError, match="find no class"):
        SemanticConfig.model_validate({"classes": ["shower", "other"], "decisions": {}})


@pytest.mark.parametrize("kind", ["spatial_embedding", "voxel_graph"])
@pytest.mark.parametrize("head", [None, "particles", "others"])
def test_the_model_has_the_head_of_the_clusters(head: str | None, kind: str) -> None:
    semantic = {"kind": "semantic", "decisions": {"clusters": {"kind": "instances", "head": head}}}
    with pytest.raises(ValidationError, match="there is none"):
        ModelConfig.model_validate({"heads": {"semantic": semantic}})
    both = {"heads": {"semantic": semantic, "particles": {"kind": kind}}}
    if head == "others":
        with pytest.raises(ValidationError, match="'others', but there are particles"):
            ModelConfig.model_validate(both)
    else:
        ModelConfig.model_validate(both)

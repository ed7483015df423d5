"""The packaged weights `clustering3d-small` do what their model card says, through a chain as a user writes it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lartpc_sparse.heads import VoxelGraphConfig
from lartpc_sparse.run import main
from lartpc_sparse.weights import find_weights
from lartpc_sparse.weights.description import describe

NAME = "clustering3d-small"
LEAST = {"shower": 0.95, "track": 0.9, "Michel": 0.98, "delta": 0.95}
"""ARI with true semantics, a few hundredths below what the sample's test events gave where it was trained."""
LEAST_ACCURACY = 0.97


def test_events_of_the_packaged_sample_that_it_was_not_trained_on(tmp_path: Path) -> None:
    chain = tmp_path / "chain.yaml"
    values = {
        "run": {"output_dir": str(tmp_path / "run")},
        "weights": NAME,
        "data": {"test": {"kind": "sample", "split": "test"}, "batch": {"events": 8}},
        "predict": {},
        "evaluate": {},
    }
    chain.write_text(yaml.safe_dump(values))
    assert main([str(chain)]) == 0
    heads = json.loads((tmp_path / "run" / "metrics.json").read_text())["heads"]
    assert heads["semantic"]["accuracy"] > LEAST_ACCURACY
    found = heads["particles"]["comparison"]["true"]
    for name, least in LEAST.items():
        scores = found[name]["ari"]["methods"]
        assert scores["network"]["value"] > least, name
    track = found["track"]["ari"]["methods"]
    assert track["network"]["value"] > track["connected_components"]["value"] + 0.2
    assert (tmp_path / "run" / "particles.csv").is_file()


def test_thresholds_come_with_the_weights() -> None:
    head = describe(find_weights(NAME)).model_config().heads["particles"]
    assert isinstance(head, VoxelGraphConfig)
    assert [step.kind for step in head.refine["track"]] == ["absorb_small", "join_collinear"]
    assert head.linkage != VoxelGraphConfig().linkage

"""The packaged weights `semantic3d-small` do what their model card says, through a chain as a user writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lartpc_sparse.data.classes import split_tracks
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.run import main

NAME = "semantic3d-small"
LEAST_ACCURACY, LEAST_TRACK_SHOWER, LEAST_MACRO_F1 = 0.975, 0.983, 0.947
"""Half a per cent (one for F1) below what the sample's test events gave on the machine that trained it."""


def evaluated(folder: Path, test: dict[str, Any], transforms: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Scores of the weights on events."""
    data: dict[str, Any] = {"test": test, "batch": {"events": 8}}
    if transforms is not None:
        data["transforms"] = transforms
    values = {"run": {"output_dir": str(folder)}, "weights": NAME, "data": data, "predict": {}, "evaluate": {}}
    folder.mkdir(parents=True)
    chain = folder / "chain.yaml"
    chain.write_text(yaml.safe_dump(values))
    assert main([str(chain)]) == 0
    scores: dict[str, Any] = json.loads((folder / "metrics.json").read_text())["heads"]["semantic"]
    return scores


def test_events_of_the_packaged_sample_that_it_was_not_trained_on(tmp_path: Path) -> None:
    scores = evaluated(tmp_path / "run", {"kind": "sample", "split": "test"})
    assert scores["accuracy"] > LEAST_ACCURACY
    assert scores["track_shower"]["accuracy"] > LEAST_TRACK_SHOWER
    assert scores["macro"]["f1"] > LEAST_MACRO_F1


def public_event(path: Path, output: Path) -> None:
    """The public PILArNet-M event as a file of this package."""
    columns = np.load(path)
    semantic, classes = split_tracks(columns["semantic"].astype(np.int64), columns["pid"].astype(np.int64))
    event = Event(
        key=EventKey(path.name, 0),
        coords=columns["coords"].astype(np.int32),
        energy=columns["energy_MeV"].astype(np.float32),
        image_size=(768, 768, 768),
        classes=classes,
        labels={"semantic": semantic, "instance": columns["instance"].astype(np.int64)},
    )
    with VoxelFileWriter(output, image_size=event.image_size, classes=classes) as writer:
        writer.write(event)


@pytest.mark.parametrize("factor", [None, 0.8, 1.1, 1.25])
def test_a_public_event(tmp_path: Path, shared_data: Path, factor: float | None) -> None:
    file = tmp_path / "event.h5"
    public_event(shared_data / "real" / "pilarnetM_test_ev7675.npz", file)
    scale = [] if factor is None else [{"kind": "scale_energy", "sigma": 0, "factor": factor}]
    scores = evaluated(tmp_path / "run", {"kind": "voxels", "files": [str(file)]}, [*scale, {"kind": "log_energy"}])
    assert scores["accuracy"] >= 0.985

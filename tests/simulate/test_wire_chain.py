"""A chain on images of a wire plane: D = 2, the size and the window of MicroBooNE."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.run import main
from lartpc_sparse.simulate.wire_planes import WirePlanesConfig


def test_a_network_is_trained_on_a_plane_and_predicts(tmp_path: Path) -> None:
    source = WirePlanesConfig.model_validate({"reader": {"kind": "sample", "split": "test"}}).build()
    about = source.streams["y"]
    with VoxelFileWriter(tmp_path / "y.h5", image_size=about.image_size, classes=about.classes) as writer:
        for index in range(2):
            writer.write(source.make(0, index)["y"])
    reader = {"kind": "voxels", "files": [str(tmp_path / "y.h5")]}
    chain = {
        "run": {"output_dir": str(tmp_path / "run"), "device": "cpu", "threads": 1},
        "data": {
            "train": reader,
            "validation": reader,
            "test": reader,
            "transforms": [{"kind": "energy_threshold", "min_mev": 10, "max_mev": 300}],
            "batch": {"events": 2},
        },
        "model": {
            "dim": 2,
            "backbone": {"kind": "uresnet", "filters": 4, "depth": 2},
            "heads": {"semantic": {"kind": "semantic", "classes": ["HIP", "MIP", "shower", "delta", "Michel"]}},
        },
        "train": {"epochs": 1},
        "predict": {},
        "evaluate": {},
    }
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump(chain))
    assert main([str(path)]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert "accuracy" in json.dumps(metrics)

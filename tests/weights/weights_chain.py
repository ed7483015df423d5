"""A chain of a tiny network on a few events of the packaged sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

CHAIN: dict[str, Any] = {
    "run": {"name": "tiny", "seed": 3, "threads": 1},
    "data": {
        "train": {"kind": "sample", "split": "train", "limit": 6},
        "validation": {"kind": "sample", "split": "validation", "limit": 2},
        "test": {"kind": "sample", "split": "test", "limit": 3},
        "transforms": [{"kind": "merge_duplicates"}, {"kind": "log_energy", "min": 0.02}],
        "batch": {"events": 2},
    },
    "model": {
        "backbone": {"kind": "uresnet", "filters": 4, "depth": 2, "blocks": 1},
        "heads": {"semantic": {"kind": "semantic"}, "gaps": {"kind": "inpaint"}},
    },
    "train": {"epochs": 1},
    "predict": {},
    "evaluate": {},
}


def write_chain(folder: Path, name: str, values: dict[str, Any]) -> Path:
    """A chain file whose outputs go to folder/name."""
    values = {**values, "run": {**values.get("run", {}), "output_dir": str(folder / name)}}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path

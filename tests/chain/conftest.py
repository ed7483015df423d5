"""A chain small enough for tests: few events, a small network, all three heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "configs"

SMALL = [
    "data.train.limit=6",
    "data.validation.limit=2",
    "data.test.limit=3",
    "data.batch={events: 2}",
    "model.backbone={kind: uresnet, filters: 4, depth: 2, blocks: 1}",
    "train.epochs=2",
    "train.schedule.warmup_steps=0",
    "report.displays=2",
]


def without_tuning() -> dict[str, Any]:
    """The demo with the published clustering method in place of its own, and without the step `tune`."""
    values: dict[str, Any] = yaml.safe_load((CONFIGS / "demo.yaml").read_text())
    del values["tune"]
    values["model"]["heads"]["particles"] = {"kind": "spatial_embedding", "split_unconnected": True}
    return values


@pytest.fixture
def small_chain(tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of the command line for a small chain with all three heads, in a folder of its own."""

    def arguments(*overrides: str, folder: Path = tmp_path / "run") -> list[str]:
        chain = tmp_path / "small.yaml"
        chain.write_text(yaml.safe_dump(without_tuning(), sort_keys=False))
        return [str(chain), "--set", f"run.output_dir={folder}", *SMALL, *overrides]

    return arguments


@pytest.fixture
def demo_chain(tmp_path: Path) -> list[str]:
    """Arguments of the command line for the demo itself, on few events."""
    return [str(CONFIGS / "demo.yaml"), "--set", f"run.output_dir={tmp_path / 'run'}", *SMALL]


@pytest.fixture
def small_steps(small_chain: Callable[..., list[str]]) -> dict[str, object]:
    """The same chain as plain values."""
    return without_tuning()

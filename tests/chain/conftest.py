"""A chain small enough for tests: few events, a small network, all three heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture
def small_chain(tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments of the command line for the demo chain made small, in a folder of its own."""

    def arguments(*overrides: str, folder: Path = tmp_path / "run") -> list[str]:
        return [str(CONFIGS / "demo.yaml"), "--set", f"run.output_dir={folder}", *SMALL, *overrides]

    return arguments


@pytest.fixture
def small_steps(small_chain: Callable[..., list[str]]) -> dict[str, object]:
    """The demo chain as plain values."""
    values: dict[str, object] = yaml.safe_load((CONFIGS / "demo.yaml").read_text())
    return values

"""A chain of seconds, and processes to run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from job_runner import Runner

CHAIN: dict[str, Any] = {
    "run": {"name": "job", "seed": 7, "device": "cpu", "threads": 1},
    "data": {
        "train": {"kind": "sample", "split": "train", "limit": 5},
        "validation": {"kind": "sample", "split": "validation", "limit": 2},
        "test": {"kind": "sample", "split": "test", "limit": 5},
        "transforms": [{"kind": "merge_duplicates"}, {"kind": "log_energy"}],
        "batch": {"events": 2},
    },
    "model": {
        "dim": 3,
        "backbone": {"kind": "uresnet", "filters": 4, "depth": 2, "blocks": 1},
        "heads": {"semantic": {"kind": "semantic"}},
    },
    "train": {"epochs": 2},
    "predict": {"part_events": 2},
}


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    runner = Runner(tmp_path_factory.mktemp("zygote") / "log")
    yield runner
    runner.close()


@pytest.fixture
def runner(zygote: Runner, tmp_path: Path) -> Runner:
    zygote.log = tmp_path / "output.log"
    return zygote


@pytest.fixture
def job_chain(tmp_path: Path) -> Callable[..., list[str]]:
    """Arguments for the small chain in a folder of its own."""
    path = tmp_path / "chain.yaml"
    path.write_text(yaml.safe_dump(CHAIN))

    def arguments(folder: str, *overrides: str, only: str = "train") -> list[str]:
        changes = [f"run.output_dir={tmp_path / folder}", *overrides]
        return [str(path), "--set", *changes, "--only", *only.split()]

    return arguments

"""A bad event that a reader process meets ends the job with one line, and does not leave it waiting."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  the filters of the sample
import numpy as np
import pytest
import yaml

SAMPLE = Path(__file__).resolve().parents[2] / "lartpc_sparse" / "data" / "sample" / "validation.h5"


def chain(folder: Path, step: str, policy: str) -> Path:
    """A chain that meets a bad event in the step; its events are in `spoilt.h5`."""
    spoilt = folder / "spoilt.h5"
    shutil.copy(SAMPLE, spoilt)
    with h5py.File(spoilt, "r+") as file:
        file["energy"][int(file["offsets"][2])] = np.nan
    bad = {"kind": "voxels", "files": [str(spoilt)], "limit": 6}
    good = {"kind": "sample", "split": "validation", "limit": 2}
    values: dict[str, Any] = {
        "run": {"output_dir": str(folder / "run"), "threads": 1},
        "data": {"batch": {"events": 2}, "workers": 1, "on_bad_event": policy},
        "model": {
            "backbone": {"kind": "uresnet", "filters": 2, "depth": 2, "blocks": 1},
            "heads": {"a": {"kind": "semantic"}},
        },
        "train": {"epochs": 1},
    }
    values["data"]["train"] = bad if step == "train" else good
    if step == "predict":
        values |= {"predict": {}}
        values["data"]["test"] = bad
    path = folder / "chain.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def run(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lartpc_sparse.run", str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize("step", ["train", "predict"])
def test_a_job_with_reader_processes_ends(step: str, tmp_path: Path) -> None:
    done = run(chain(tmp_path, step, "fail"))
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "spoilt.h5" in line
    assert "Traceback" not in done.stderr


def test_a_training_counts_the_events_that_it_skips(tmp_path: Path) -> None:
    done = run(chain(tmp_path, "train", "skip"))
    assert done.returncode == 0, done.stderr
    assert "epoch 1: 1 events were skipped" in done.stderr + done.stdout
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    (skipped,) = [event for event in events if event["event"] == "skipped_events"]
    assert (skipped["epoch"], skipped["count"]) == (1, 1)

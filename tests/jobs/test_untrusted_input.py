"""What comes from elsewhere cannot run code, take memory, or change a page."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile, PredictionWriter
from lartpc_sparse.report.page import Page, render_page
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights import CHECKPOINT_KEY, read_checkpoint
from lartpc_sparse.yaml_config import load_config


class Evil:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_checkpoint_runs_no_code(tmp_path: Path, form: str) -> None:
    path, mark = tmp_path / "last.ckpt", tmp_path / "was-here"
    values = {CHECKPOINT_KEY: {}, "state_dict": {}, "x": Evil(mark)}
    if form == "torch":
        torch.save(values, path)
    else:
        path.write_bytes(pickle.dumps(values))
    with pytest.raises(UserError, match="damaged or of another program"):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch was-here']", "!!python/name:os.system"])
def test_yaml_runs_no_code(tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "chain.yaml"
    path.write_text(f"run: {{name: x}}\nweights: {tag}\n")
    with pytest.raises(UserError):
        load_config(path, ChainConfig)
    assert not (tmp_path / "was-here").exists()


def test_a_header_that_claims_terabytes(tmp_path: Path) -> None:
    path = tmp_path / "predictions.h5"
    with PredictionWriter(path, image_size=(8, 8, 8), classes=(), attributes={}) as writer:
        writer.write(Prediction(EventKey("made", 0), np.zeros((1, 3), np.int32), np.ones(1, np.float32)))
    with h5py.File(path, "r+") as file:
        file["offsets"].resize(1 << 42, axis=0)
        file["events/entry"].resize((1 << 42) - 1, axis=0)
    with pytest.raises(UserError, match=r"claims 3\d,\d{3},\d{3} MB"):
        PredictionFile(path)


def test_names_are_escaped_in_the_report() -> None:
    evil = "<script>alert(1)</script>"
    page = render_page(Page(evil, ((evil, evil),), [], [], "", f"</pre>{evil}"))
    assert evil not in page
    assert "&lt;script&gt;" in page

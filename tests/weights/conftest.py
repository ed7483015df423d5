"""A run of a tiny network on a few events of the packaged sample, made once, and weights files of it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from weights_chain import CHAIN, write_chain

from lartpc_sparse.run import main
from lartpc_sparse.weights import catalogue
from lartpc_sparse.weights.export import export_weights


@pytest.fixture
def chain() -> dict[str, Any]:
    """The chain of `tiny_run` as plain values."""
    return copy.deepcopy(CHAIN)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """output_dir of a trained, predicted and evaluated run."""
    folder = tmp_path_factory.mktemp("weights")
    assert main([str(write_chain(folder, "run", CHAIN))]) == 0
    return folder / "run"


@pytest.fixture(scope="session")
def tiny_file(tiny_run: Path) -> Path:
    """A weights file of it that keeps every bit."""
    path = tiny_run.parent / "exact.safetensors"
    export_weights(str(tiny_run), "tiny3d", path, storage="float32", trained_on="6 events of the packaged sample")
    return path


@pytest.fixture
def packaged(tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same weights as if they came with the package; their name."""
    folder = tmp_path / "packaged"
    folder.mkdir()
    (folder / "tiny3d.safetensors").write_bytes(tiny_file.read_bytes())
    (folder / "tiny3d.md").write_text("# tiny3d\n\nA card.\n")
    monkeypatch.setattr(catalogue, "packaged_folder", lambda: folder)
    return "tiny3d"

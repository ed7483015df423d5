"""A file that may not be read is called that, not damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot

from lartpc_sparse.data.camera.frame_files import open_frames
from lartpc_sparse.data.detect import detect_format
from lartpc_sparse.data.readers import LarcvRootConfig, VoxelsConfig
from lartpc_sparse.schema import UserError
from lartpc_sparse.weights import read_checkpoint

NOBODY = 65534


@pytest.fixture
def locked_up(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a good file of a name that this process may not read; root becomes another user for that."""
    root = os.geteuid() == 0

    def make(name: str) -> Path:
        path = tmp_path / name
        if name.endswith(".root"):
            with uproot.recreate(path) as file:
                file["pic_run1_ev1"] = np.histogram2d(np.zeros(1), np.zeros(1))
        else:
            h5py.File(path, "w").close()
        path.chmod(0)
        if root:
            os.seteuid(NOBODY)
        return path

    yield make
    if root:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.h5", lambda path: VoxelsConfig(files=(path,)).build().read(0)),
        ("a.h5", open_frames),
        ("a.h5", detect_format),
        ("a.root", open_frames),
        ("a.root", lambda path: LarcvRootConfig(files=(path,)).build()),
        ("last.ckpt", lambda path: read_checkpoint(Path(path))),
    ],
)
def test_no_permission(
    locked_up: Callable[[str], Path], name: str, read: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = locked_up(name)
    monkeypatch.chdir(os.sep)  # the folders of pytest are closed to others, too, and hide what is in them
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    with pytest.raises(UserError, match="no permission to read it") as caught:
        read(str(path))
    assert str(path) in str(caught.value)

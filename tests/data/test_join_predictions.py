"""Parts of a prediction, joined: as if one writer had had all events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
import numpy as np
import pytest

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.join_predictions import join_predictions
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile, PredictionWriter
from lartpc_sparse.schema import UserError


def event(entry: int, voxels: int, *, status: str = "ok", name: str = "semantic/label") -> Prediction:
    rng = np.random.default_rng(entry)
    return Prediction(
        key=EventKey(f"file {entry % 2}.h5", entry),
        coords=rng.integers(0, 9, (voxels, 3)).astype(np.int32),
        energy=rng.random(voxels, dtype=np.float32),
        truth={"semantic": rng.integers(0, 5, voxels).astype(np.int8)} if status == "ok" else {},
        columns={name: np.arange(voxels, dtype=np.int8), "s/p": rng.random((voxels, 2))} if status == "ok" else {},
        tables={"gaps": {"energy": rng.random(entry % 3)}} if status == "ok" else {},
        status=status,
    )


def write(path: Path, events: Sequence[Prediction]) -> Path:
    with PredictionWriter(path, image_size=(9, 9, 9), classes=("a",), attributes={"run": "x"}) as writer:
        for one in events:
            writer.write(one)
    return path


def contents(path: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}

    def look(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (str(item.dtype), item.shape, item.chunks, item[()].tolist())

    with h5py.File(path, "r") as file:
        file.visititems(look)
        found["attributes"] = tuple(
            sorted((name, str(value)) for name, value in file.attrs.items() if name != "created")
        )
    return found


def test_joined_is_what_one_writer_makes(tmp_path: Path) -> None:
    events = [event(n, (7 * n) % 5, status="broken" if n in (0, 1, 4) else "ok") for n in range(9)]
    whole = write(tmp_path / "whole.h5", events)
    parts = [write(tmp_path / f"{n}.h5", events[n : n + 2]) for n in range(0, 9, 2)]  # the first has no column at all
    told: list[int] = []
    join_predictions(parts, tmp_path / "joined.h5", told.append)
    assert str(contents(tmp_path / "joined.h5")) == str(contents(whole))
    assert told == [2, 2, 2, 2, 1]
    with PredictionFile(tmp_path / "joined.h5") as file:
        assert [one.key.entry for one in file] == list(range(9))
        assert file.skipped == 3
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_but_skipped_events(tmp_path: Path) -> None:
    parts = [write(tmp_path / f"{n}.h5", [event(n, 0, status="broken")]) for n in range(2)]
    join_predictions(parts, tmp_path / "joined.h5", lambda number: None)
    assert len(PredictionFile(tmp_path / "joined.h5")) == 2


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    parts = [write(tmp_path / "0.h5", [event(0, 3)]), write(tmp_path / "1.h5", [event(1, 3, name="semantic/other")])]
    with pytest.raises(UserError, match="other columns"):
        join_predictions(parts, tmp_path / "joined.h5", lambda number: None)
    parts[1].write_bytes(parts[1].read_bytes()[:-100])
    with pytest.raises(UserError, match=r"1\.h5"):
        join_predictions(parts, tmp_path / "joined.h5", lambda number: None)
    assert not (tmp_path / "joined.h5").exists()

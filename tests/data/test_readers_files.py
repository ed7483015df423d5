"""Patterns, the numbering of events over files, and open files."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.readers.files import EventIndex, OpenFiles, damage_named, open_hdf5, resolve_files
from lartpc_sparse.schema import BadEventError, UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.h5", "a.h5", "c[1].h5", "deep/d.h5", "deep/deeper/e.h5"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.h5").mkdir()
    return tmp_path


def test_patterns_keep_their_order_and_are_sorted_inside(folder: Path) -> None:
    found = resolve_files((f"{folder}/deep/**/*.h5", f"{folder}/?.h5", f"{folder}/c[1].h5"))
    names = [os.path.relpath(path, folder) for path in found]
    assert names == ["deep/d.h5", "deep/deeper/e.h5", "a.h5", "b.h5", "c[1].h5"]


def test_home_and_working_folder_are_understood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder / "deep")
    assert resolve_files(("~/a.h5", "d.h5")) == (str(folder / "a.h5"), "d.h5")


@pytest.mark.parametrize("pattern", ["nothing*.h5", "missing.h5", "folder.h5"])
def test_a_pattern_without_files_is_named(folder: Path, pattern: str) -> None:
    with pytest.raises(UserError, match="no file matches") as error:
        resolve_files((f"{folder}/a.h5", f"{folder}/{pattern}"))
    assert pattern in str(error.value)


def test_a_file_named_twice_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"a\.h5.*again by"):
        resolve_files((f"{folder}/*.h5", f"{folder}/deep/../a.h5"))


@pytest.mark.parametrize("values", [{"files": []}, {"select": (3, 3)}, {"select": (-1, 3)}, {"limit": 0}])
def test_bad_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VoxelsConfig(**{"files": ["a.h5"], **values})


@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    start=st.integers(0, 6),
    length=st.integers(1, 20),
    use_select=st.booleans(),
    limit=st.none() | st.integers(1, 20),
)
def test_numbering_equals_a_list(
    counts: list[int], start: int, length: int, use_select: bool, limit: int | None
) -> None:
    files = [f"{number}.h5" for number in range(len(counts))]
    all_keys = [EventKey(file, entry) for file, count in zip(files, counts, strict=True) for entry in range(count)]
    wanted = (all_keys[start : start + length] if use_select else all_keys)[:limit]
    counted: list[str] = []

    def count(file: str) -> int:
        counted.append(file)
        return counts[files.index(file)]

    select = (start, start + length) if use_select else None
    if use_select and start and start >= len(all_keys):
        with pytest.raises(UserError, match="select starts"):
            EventIndex.build(files, count, select, limit)
        return
    index = EventIndex.build(files, count, select, limit)
    assert [index.key(i) for i in range(len(index))] == wanted
    spans = [EventKey(file, entry) for file, first, last in index.spans() for entry in range(first, last)]
    assert spans == wanted
    if limit is not None and wanted:  # files after the last wanted event stay closed
        assert wanted[-1].file == counted[-1] or len(wanted) < limit
    for outside in (-1, len(index)):
        with pytest.raises(IndexError):
            index.key(outside)


class FakeFile:
    """Counts how many are open."""

    open_paths: list[str] = []  # noqa: RUF012

    def __init__(self, path: str) -> None:
        self.path = path
        self.open_paths.append(path)

    def close(self) -> None:
        self.open_paths.remove(self.path)


def test_open_files_closes_the_least_recently_used() -> None:
    FakeFile.open_paths.clear()
    files = OpenFiles(FakeFile, max_open=2)
    for path in ("a", "b", "a", "c"):
        assert files.get(path).path == path
    assert sorted(FakeFile.open_paths) == ["a", "c"]
    assert files.get("a") is files.get("a")
    copy = pickle.loads(pickle.dumps(files))
    assert copy.get("a") is not files.get("a")
    files.close()
    assert FakeFile.open_paths == ["a"]  # the copy's


def test_open_files_forgets_the_handles_of_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    files = OpenFiles(FakeFile)
    mine = files.get("a")
    monkeypatch.setattr(os, "getpid", lambda: -5)
    assert files.get("a") is not mine


def test_a_file_that_is_not_hdf5_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(UserError, match=r"text\.h5 cannot be opened as HDF5.*truncated"):
        open_hdf5(str(tmp_path / "text.h5"))
    with pytest.raises(UserError, match=r"gone\.h5: no such file"):
        open_hdf5(str(tmp_path / "gone.h5"))


def test_damage_names_the_place() -> None:
    with (
        pytest.raises(BadEventError, match=r"a\.h5 entry 3: cannot read energy \(broken\)"),
        damage_named(EventKey("a.h5", 3), "energy"),
    ):
        raise OSError("broken")
    with pytest.raises(UserError, match=r"a\.h5: cannot read the layout") as error, damage_named("a.h5", "the layout"):
        raise KeyError("gone")
    assert not isinstance(error.value, BadEventError)
    with pytest.raises(UserError, match="as it was"), damage_named("a.h5", "x"):
        raise UserError("as it was")

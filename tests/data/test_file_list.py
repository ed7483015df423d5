"""List files in `files` of a reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_events import random_event
from test_readers_voxels import write

from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.readers.files import resolve_files
from lartpc_sparse.schema import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    for name in ("a.h5", "b.h5", "c#1.h5", "deep/d.h5", "deep/e.h5"):
        (tmp_path / name).touch()
    return tmp_path


def make_list(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("sign", ["", "@"])
@pytest.mark.parametrize("name", ["runs.txt", "runs.list"])
def test_lines_are_paths_and_patterns_relative_to_the_list(folder: Path, sign: str, name: str) -> None:
    text = f"# a comment\n\n  a.h5  # the first\r\ndeep/*.h5\n{folder}/b.h5\nc#1.h5\n"
    found = resolve_files((sign + make_list(folder / name, text),))
    assert found == tuple(str(folder / part) for part in ("a.h5", "deep/d.h5", "deep/e.h5", "b.h5", "c#1.h5"))


def test_any_name_serves_with_the_sign_and_lists_mix_with_patterns(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_list(folder / "deep" / "mine", "d.h5\n")
    monkeypatch.chdir(folder)
    assert resolve_files(("a.h5", "@deep/mine", "b*.h5")) == ("a.h5", "deep/d.h5", "b.h5")


def test_home_is_understood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    make_list(folder / "runs.txt", "~/deep/d.h5\n")
    assert resolve_files(("@~/runs.txt",)) == (str(folder / "deep/d.h5"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.h5\n\ngone.h5\n", r"no file matches 'gone\.h5' \(.*runs\.txt line 3\)"),
        ("a.h5\n./a.h5\n", r"a\.h5.*\(.*runs\.txt line 1\) and again by '\./a\.h5' \(.*runs\.txt line 2\)"),
        ("a.h5\n@more\n", r"runs\.txt line 2 names another list, '@more'"),
        ("more.txt\n", r"runs\.txt line 1 names another list"),
        ("# nothing\n\n", r"runs\.txt names no file"),
    ],
)
def test_a_bad_line_is_named(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve_files((make_list(folder / "runs.txt", text),))


def test_a_list_that_is_missing_or_no_text_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"list of files .*gone\.txt cannot be read"):
        resolve_files((f"{folder}/gone.txt",))
    (folder / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"list of files .*bad\.txt cannot be read"):
        resolve_files((f"@{folder}/bad.txt",))


def test_a_reader_takes_a_list(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.h5", [random_event(number, 4 + number)])
    reader = VoxelsConfig(files=("@" + make_list(tmp_path / "files", "2.h5\n0.h5\n"),)).build()
    assert [len(reader.read(index)) for index in range(len(reader))] == [6, 4]

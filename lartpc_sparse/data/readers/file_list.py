"""From the entry `files` of a reader to paths: plain paths, patterns, and list files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lartpc_sparse.schema import UserError

__all__ = ["resolve_files"]

LIST_SUFFIXES = (".txt", ".list")


@dataclass(frozen=True)
class _Wanted:
    """One path or pattern, and the words by which a message names it."""

    pattern: str
    named: str
    folder: str
    """What the pattern is relative to, for messages; already part of the pattern."""


def resolve_files(patterns: Sequence[str]) -> tuple[str, ...]:
    """Existing files of paths, patterns and list files, sorted inside each pattern, in the order given.

    A list file is named `@path`, or any path that ends in `.txt` or `.list`. It holds one path or pattern a line,
    relative to the folder of the list file; empty lines and what follows a `#` at the start of a line or after a
    space do not count.

    Raises:
        UserError: a pattern that matches no file, a file that is matched twice, or a list file that is missing, not
            text, empty, or names another list file; names the line.
    """
    found: dict[str, str] = {}
    for entry in patterns:
        for wanted in _wanted(entry):
            for match in _matches(wanted):
                name = os.path.normpath(match)
                if name in found:
                    raise UserError(
                        f"'{match}' is matched by {found[name]} and again by {wanted.named}; name every file once"
                    )
                found[name] = wanted.named
    return tuple(found)


def _wanted(entry: str) -> Iterator[_Wanted]:
    """The entry itself, or the lines of the list file that it names."""
    path = os.path.expanduser(entry)  # noqa: PTH111  keeps the text of the path as it was given
    if entry.startswith("@") and not Path(entry).is_file():
        yield from _lines(os.path.expanduser(entry[1:]))  # noqa: PTH111
    elif entry.endswith(LIST_SUFFIXES):
        yield from _lines(path)
    else:
        yield _Wanted(path, f"'{entry}'", str(Path.cwd()))


def _lines(path: str) -> Iterator[_Wanted]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the list of files {path} cannot be read ({error}); correct `files`") from error
    folder = os.path.dirname(path)  # noqa: PTH120
    empty = True
    for number, line in enumerate(text.splitlines(), start=1):
        entry = f" {line}".split(" #", 1)[0].strip()
        if not entry:
            continue
        empty = False
        if entry.startswith("@") or entry.endswith(LIST_SUFFIXES):
            raise UserError(f"{path} line {number} names another list, '{entry}'; name each list in `files` itself")
        home = os.path.expanduser(entry)  # noqa: PTH111
        yield _Wanted(os.path.join(folder, home), f"'{entry}' ({path} line {number})", folder or str(Path.cwd()))  # noqa: PTH118
    if empty:
        raise UserError(f"the list of files {path} names no file")


def _matches(wanted: _Wanted) -> list[str]:
    path = wanted.pattern
    if Path(path).is_file():  # a name may contain [ ]
        return [path]
    matches = sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))  # noqa: PTH207
    if not matches:
        raise UserError(f"no file matches {wanted.named} (looked from {wanted.folder}); correct `files`")
    return matches

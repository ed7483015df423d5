"""What is known about data files, kept on disk, so that a second start opens none of them.

One file a folder of data and kind of reader: `<hash>.npz` in the cache folder. It is read as a whole, written as a
whole and replaced in one step, so that several processes may write it at the same time; the last one wins, and what
the others had counted is counted again some day. A file of the data is known again by absolute path, size and time of
the last change.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.schema import LartpcSparseWarning

__all__ = ["CountCache", "FileCount", "cache_folder"]

logger = logging.getLogger("lartpc_sparse")

FORMAT = 1
"""Raised when the layout of a cache file changes: files of another number are not used."""

Identity = tuple[int, int]


@dataclass(frozen=True)
class FileCount:
    """What a reader needs of a file before it reads events.

    Attributes:
        num_events: events in the file.
        num_voxels: voxels of each; None where counting them means to read the file.
        facts: what else the reader wants to know, JSON text.
    """

    num_events: int
    num_voxels: Int64[np.ndarray, " E"] | None = None
    facts: str = "null"


def cache_folder() -> Path | None:
    """Where counts are kept: LARTPC_SPARSE_CACHE (`off`: nowhere), else lartpc_sparse in XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("LARTPC_SPARSE_CACHE")
    if named:
        return None if named == "off" else Path(named).expanduser()
    try:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    except RuntimeError:  # no home folder
        return None
    return Path(base) / "lartpc_sparse"


def _identity(path: str) -> Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116  ten thousand of them
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class CountCache:
    """Counts of files by absolute path; works without a folder, then it knows nothing.

    Args:
        signature: kind of reader, its version, and the options that what it counts depends on.
        folder: where to keep them; None: nowhere.
    """

    def __init__(self, signature: str, folder: Path | None) -> None:
        self._signature = signature
        self._folder = folder
        self._seen: dict[str, Identity] = {}

    def load(self, files: Iterable[str]) -> dict[str, FileCount]:
        """Counts of those of the files that have not changed since they were counted."""
        known: dict[str, FileCount] = {}
        if self._folder is None:
            return known
        for parent, names in _by_folder(files).items():
            table = self._read(parent)
            for name, file in names.items():
                identity = _identity(file)
                if identity is not None:
                    self._seen[file] = identity
                    entry = table.get(name)
                    if entry is not None and entry[0] == identity:
                        known[file] = entry[1]
        return known

    def save(self, counts: Mapping[str, FileCount]) -> None:
        """Keep counts, beside those already kept; without a word where a file changed while it was counted."""
        if self._folder is None or not counts:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for parent, names in _by_folder(counts).items():
                table = {name: entry for name, entry in self._read(parent).items() if Path(parent, name).exists()}
                for name, file in names.items():
                    identity = self._seen.get(file)
                    if identity is not None and identity == _identity(file):
                        table[name] = (identity, counts[file])
                _write(self._path(parent), table)
        except OSError as error:
            warnings.warn(
                f"what was counted in the data files cannot be kept in {self._folder} ({error}), so that every start "
                "counts again; set LARTPC_SPARSE_CACHE to a folder that can be written, or to `off`",
                LartpcSparseWarning,
                stacklevel=2,
            )

    def _path(self, parent: str) -> Path:
        assert self._folder is not None
        text = f"{FORMAT}\n{self._signature}\n{parent}"
        return self._folder / f"counts-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.npz"

    def _read(self, parent: str) -> dict[str, tuple[Identity, FileCount]]:
        path = self._path(parent)
        try:
            return _table(path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("the counts in %s cannot be read (%s); the files are counted again", path, error)
            return {}


def _by_folder(files: Iterable[str]) -> dict[str, dict[str, str]]:
    """Absolute folder -> name in it -> path as given."""
    folders: dict[str, dict[str, str]] = {}
    absolute: dict[str, str] = {}
    for file in files:
        parent, name = os.path.split(file)
        if parent not in absolute:
            absolute[parent] = os.path.abspath(parent)  # noqa: PTH100
        folders.setdefault(absolute[parent], {})[name] = file
    return folders


def _write(path: Path, table: Mapping[str, tuple[Identity, FileCount]]) -> None:
    facts = list(dict.fromkeys(count.facts for _, count in table.values()))  # most files of a folder agree
    place = {text: number for number, text in enumerate(facts)}
    counts = [count for _, count in table.values()]
    voxels = [np.zeros(0, dtype=np.int64) if count.num_voxels is None else count.num_voxels for count in counts]
    arrays = {
        "text": np.frombuffer(json.dumps({"names": list(table), "facts": facts}).encode(), dtype=np.uint8),
        "identity": np.array([identity for identity, _ in table.values()], dtype=np.int64).reshape(-1, 2),
        "num_events": np.array([count.num_events for count in counts], dtype=np.int64),
        "has_voxels": np.array([count.num_voxels is not None for count in counts], dtype=np.bool_),
        "facts": np.array([place[count.facts] for count in counts], dtype=np.int64),
        "voxels": np.concatenate([np.zeros(0, dtype=np.int64), *voxels]),
    }
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _table(path: Path) -> dict[str, tuple[Identity, FileCount]]:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    text = json.loads(arrays["text"].tobytes())
    has_voxels, num_events = arrays["has_voxels"], arrays["num_events"]
    ends = np.cumsum(np.where(has_voxels, num_events, 0))
    if not (len(text["names"]) == len(ends) == len(arrays["identity"]) == len(arrays["facts"])):
        raise ValueError("its columns have different lengths")
    if len(arrays["voxels"]) != (ends[-1] if len(ends) else 0):
        raise ValueError("its voxel counts are incomplete")
    table: dict[str, tuple[Identity, FileCount]] = {}
    rows = zip(
        text["names"],
        arrays["identity"].tolist(),
        num_events.tolist(),
        has_voxels.tolist(),
        arrays["facts"].tolist(),
        ends.tolist(),
        strict=True,
    )
    for name, (size, changed), events, has, fact, end in rows:
        voxels = arrays["voxels"][end - events : end] if has else None
        table[name] = ((size, changed), FileCount(events, voxels, text["facts"][fact]))
    return table

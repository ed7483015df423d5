"""The tiles that were fastest, kept on disk so that a shape is timed once on a machine."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lartpc_sparse.schema import LartpcSparseWarning
from lartpc_sparse.sparse.engines.triton_engine.tile_config import TileConfig

__all__ = ["TuningCache", "cache_file"]

_FORMAT = 1
"""Raised when the kernels or the meaning of a key change: files of another number are not used."""


def cache_file() -> Path:
    """Where the choices are kept: below XDG_CACHE_HOME, else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lartpc_sparse" / "triton_tiles.json"


@dataclass
class TuningCache:
    """Choices by key, shared by all processes of a user: JSON, merged under a lock and replaced as a whole.

    A damaged file is replaced, with a warning; where nothing can be written, choices last as long as the process.
    """

    path: Path
    _known: dict[str, TileConfig] | None = field(default=None, repr=False)

    def get(self, key: str) -> TileConfig | None:
        """The choice for a key, None when there is none yet."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(key)

    def put(self, key: str, config: TileConfig) -> None:
        """Keep a choice; choices that other processes wrote meanwhile stay."""
        self._known = {**(self._known or {}), key: config}
        try:
            with self._lock():
                self._known = {**self._read(), key: config}
                self._write(self._known)
        except OSError as error:
            warnings.warn(
                f"cannot keep the Triton engine's tuning in {self.path} ({error}); it will be repeated in every "
                "process: set XDG_CACHE_HOME to a folder that can be written",
                LartpcSparseWarning,
                stacklevel=2,
            )

    def _read(self) -> dict[str, TileConfig]:
        try:
            return _parse(self.path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, TypeError) as error:
            warnings.warn(
                f"the Triton engine's tuning in {self.path} cannot be read ({error}) and is made anew",
                LartpcSparseWarning,
                stacklevel=3,
            )
            return {}

    def _write(self, known: dict[str, TileConfig]) -> None:
        tiles = {key: dataclasses.asdict(config) for key, config in sorted(known.items())}
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump({"format": _FORMAT, "tiles": tiles}, file, indent=1)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        import fcntl  # not at the top: the engine can be named where Triton and this module are missing

        self.path.parent.mkdir(parents=True, exist_ok=True)
        # A file of its own: the JSON file is replaced, and a lock on a replaced file protects nothing.
        with self.path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _parse(text: str) -> dict[str, TileConfig]:
    content: Any = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("tiles"), dict):
        raise TypeError("it is not a table of tiles")
    if content.get("format") != _FORMAT:
        return {}
    return {str(key): TileConfig(**config) for key, config in content["tiles"].items()}

"""Weights by name: those that come with the package, or any file or run folder."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from lartpc_sparse.schema import UserError
from lartpc_sparse.weights.checkpoint import BEST
from lartpc_sparse.weights.weights_file import SUFFIX

__all__ = ["card_of", "find_weights", "name_of", "packaged_names", "sha256_of"]


def packaged_folder() -> Path:
    """Where the weights that come with the package are."""
    return Path(str(files("lartpc_sparse") / "weights"))


def packaged_names() -> tuple[str, ...]:
    """Names of the weights that come with the package."""
    return tuple(sorted(path.stem for path in packaged_folder().glob(f"*{SUFFIX}")))


def find_weights(source: str) -> Path:
    """The file of packaged weights, of a weights file, of a checkpoint, or the best checkpoint of a run folder.

    Raises:
        UserError: there is nothing of this name; lists the names that there are.
    """
    if source in packaged_names():
        return packaged_folder() / f"{source}{SUFFIX}"
    path = Path(source)
    if path.is_dir():
        for candidate in (path / "training" / BEST, path / BEST):
            if candidate.is_file():
                return candidate
        raise UserError(f"{source} is a folder without training/{BEST}; name a checkpoint or a {SUFFIX} file")
    if path.is_file():
        return path
    names = ", ".join(packaged_names()) or "none"
    where = "a path" if path.suffix or len(path.parts) > 1 else "a name"
    raise UserError(
        f"there are no weights or checkpoint {source!r} ({where}); the names of the weights that come with the package "
        f"are: {names}. Otherwise name a {SUFFIX} file, a checkpoint or the output_dir of a run"
    )


def name_of(path: Path) -> str:
    """How a chain names the file: the name of packaged weights, else the path."""
    return path.stem if path.parent == packaged_folder() and path.suffix == SUFFIX else str(path)


def card_of(path: Path) -> Path:
    """The model card of a weights file, which may be missing."""
    return path.with_suffix(".md")


def sha256_of(path: Path) -> str:
    """Checksum of a file, as `sha256sum` prints it.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); run the train step first?") from error

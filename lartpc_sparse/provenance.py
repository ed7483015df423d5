"""Which code wrote a file: package version, git hash and time, as stored in every output."""

from __future__ import annotations

import functools
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["__version__", "git_hash", "provenance"]

try:
    __version__ = version("lartpc-sparse")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"


@functools.cache
def git_hash() -> str:
    """Commit of the source tree the package runs from, with `-dirty` when changed; `unknown` outside git."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return "unknown"
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


def provenance() -> dict[str, str]:
    """Attributes for an output file: `lartpc_sparse_version`, `git_hash`, `created` (UTC, ISO 8601)."""
    return {
        "lartpc_sparse_version": __version__,
        "git_hash": git_hash(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }

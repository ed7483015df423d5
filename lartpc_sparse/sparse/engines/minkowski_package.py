"""The MinkowskiEngine package (0.5.4, arXiv:1904.08755): optional, imported only when somebody asks for it."""

from __future__ import annotations

import collections
import importlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import torch

__all__ = ["import_minkowski", "reason_unavailable", "slots_of_minkowski"]

_INSTALL = "install it with `make minkowski` (docs/minkowski.md)"


@contextmanager
def _sequence_in_collections() -> Iterator[None]:
    # The package says `from collections import Sequence`, a name that Python 3.10 took away. It is lent for the
    # length of the import, so that the installed files and everybody else's `collections` stay as they are.
    if hasattr(collections, "Sequence"):
        yield
        return
    setattr(collections, "Sequence", Sequence)  # noqa: B010 - mypy knows that the attribute does not exist
    try:
        yield
    finally:
        delattr(collections, "Sequence")


def import_minkowski() -> ModuleType:
    """The package, where a plain `import MinkowskiEngine` fails since Python 3.10.

    Raises:
        ImportError: it is not installed, or was built against another version of torch.
    """
    if "MinkowskiEngine" in sys.modules:
        return sys.modules["MinkowskiEngine"]
    with _sequence_in_collections(), warnings.catch_warnings():
        # It advises a rebuild with CUDA, which does not compile; `reason_unavailable` says so where it matters.
        warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY flag")
        return importlib.import_module("MinkowskiEngine")


def reason_unavailable(device: torch.device | str) -> str | None:
    """Why the engine cannot run on `device` and what to do about it; None when it can."""
    if torch.device(device).type != "cpu":
        return (
            f"the minkowski engine runs on the CPU only, not on {device}: MinkowskiEngine's CUDA code does not compile "
            "against CUDA 12 or newer"
        )
    try:
        import_minkowski()
    except ModuleNotFoundError as error:
        return f"MinkowskiEngine is not installed ({error}); {_INSTALL}"
    except ImportError as error:
        return f"MinkowskiEngine is installed but cannot be loaded ({error}); {_INSTALL}"
    return None


def slots_of_minkowski(kernel_size: tuple[int, ...]) -> list[int]:
    """Our slot number of each of MinkowskiEngine's kernel slots, in its order.

    Both number the same K offsets (centred for odd sizes, 0 .. size-1 for even ones), but here the last axis runs
    fastest and there the first one. Hence `weight_there = weight_here[slots_of_minkowski(kernel_size)]`.
    """
    slots = torch.arange(torch.Size(kernel_size).numel()).reshape(kernel_size)
    order: list[int] = slots.permute(*reversed(range(len(kernel_size)))).flatten().tolist()
    return order

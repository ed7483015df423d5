"""What surrounds MinkowskiEngine: its slot order, its import, and what is said when it is missing."""

from __future__ import annotations

import collections
import importlib
import sys

import pytest
import torch

from lartpc_sparse.sparse import kernel_offsets
from lartpc_sparse.sparse.engines.minkowski_package import import_minkowski, reason_unavailable, slots_of_minkowski

REASON = reason_unavailable("cpu")


@pytest.mark.parametrize("kernel_size", [(1,), (3,), (3, 3), (2, 3), (3, 1, 5), (2, 2, 2), (2, 4, 3, 1)], ids=str)
def test_there_the_first_axis_runs_fastest(kernel_size: tuple[int, ...]) -> None:
    offsets = kernel_offsets(kernel_size)
    first_axis_fastest = sorted(offsets, key=lambda offset: offset[::-1])
    assert [offsets[slot] for slot in slots_of_minkowski(kernel_size)] == first_axis_fastest


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("meta")], ids=str)
def test_other_devices_are_refused_with_the_reason(device: torch.device | str) -> None:
    reason = reason_unavailable(device)
    assert reason is not None
    assert f"CPU only, not on {device}" in reason


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError("No module named 'MinkowskiEngine'"), "is not installed"),
        (ImportError("undefined symbol: _ZN3c10"), "cannot be loaded (undefined symbol"),
    ],
)
def test_a_missing_or_broken_package_is_explained(
    monkeypatch: pytest.MonkeyPatch, error: ImportError, message: str
) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.delitem(sys.modules, "MinkowskiEngine", raising=False)
    monkeypatch.setattr(importlib, "import_module", fail)
    reason = reason_unavailable("cpu")
    assert reason is not None
    assert message in reason
    assert "make minkowski" in reason
    assert not hasattr(collections, "Sequence")


@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_the_import_leaves_collections_as_it_was() -> None:
    assert import_minkowski() is import_minkowski()
    assert import_minkowski().__version__ == "0.5.4"
    assert not hasattr(collections, "Sequence")

"""Attributes come back as they were stored, and not from the heap."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import random_event
from test_readers_voxels import write

from lartpc_sparse.data.attributes import as_text, store_attributes


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40))
def test_any_text_comes_back(text: str) -> None:
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        store_attributes(file, {"text": text, "number": 3})
        assert as_text(file.attrs["text"]) == text
        assert file.attrs["number"] == 3


def test_a_text_of_a_kind_stored_by_others_is_understood() -> None:
    assert [as_text("a"), as_text(b"a"), as_text(3), as_text(None)] == ["a", "a", 3, None]
    with pytest.raises(UnicodeDecodeError):
        as_text(b"\xff")


def test_event_files_have_no_heap(tmp_path: Path) -> None:
    """The global heap has no checksum, and HDF5 can run for ever on a damaged one."""
    assert b"GCOL" not in write(tmp_path / "a.h5", [random_event(1, 5)]).read_bytes()

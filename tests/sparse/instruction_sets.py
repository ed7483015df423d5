"""The instruction sets of the CPU engine: those that this processor has, and one of them for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lartpc_sparse.sparse.native.library import library, missing_reason, select_instruction_set

KNOWN = ("portable", "avx2", "avx512", "avx512_bf16")


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """All calls inside use the instruction set; skips the test where the processor lacks it."""
    if reason := missing_reason():
        pytest.skip(reason)
    before = library().isa().decode()
    try:
        select_instruction_set(name)
    except RuntimeError:
        pytest.skip(f"this processor has no {name}")
    try:
        assert library().isa().decode() == name
        yield
    finally:
        select_instruction_set(before)

"""Every kind of head of the package is known wherever its numbers are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lartpc_sparse import heads
from lartpc_sparse.heads import HeadConfig
from lartpc_sparse.report import headline_numbers, summary
from lartpc_sparse.steps import metrics_table
from lartpc_sparse.weights import card

KINDS = {
    found.model_fields["kind"].default
    for found in vars(heads).values()
    if isinstance(found, type) and issubclass(found, HeadConfig) and found is not HeadConfig
}


@pytest.mark.parametrize(
    "known",
    [
        summary._HEADLINES,
        summary._SECTIONS,
        headline_numbers._KINDS,
        metrics_table.ROWS,
        card._HEADLINES,
    ],
    ids=["headlines", "sections", "comparison", "terminal", "card"],
)
def test_all_kinds_are_known(known: Mapping[str, Any]) -> None:
    assert len(KINDS) == 5
    assert set(known) == KINDS

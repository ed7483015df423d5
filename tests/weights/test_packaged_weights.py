"""What all packaged weights have in common."""

from __future__ import annotations

import pytest

from lartpc_sparse.weights import find_weights, packaged_names


@pytest.mark.parametrize("name", packaged_names())
def test_they_are_small_enough_to_ship_and_have_a_card(name: str) -> None:
    assert find_weights(name).stat().st_size <= 10_000_000
    card = find_weights(name).with_suffix(".md").read_text()
    for section in ("## Data", "## Training", "## Metrics", "## Limits"):
        assert section in card

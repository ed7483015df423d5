"""Some events masked, the others as they are, all with the same columns."""

from __future__ import annotations

import numpy as np
import pytest
from labelled_events import empty_event, random_event

from lartpc_sparse.data.batch import collate
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.masked_view import MaskedShare
from lartpc_sparse.data.transforms import MaskBoxes

MASK = {"candidate", "active", "target_energy", "gap"}


def views(fraction: float, count: int = 200) -> list[Event]:
    share = MaskedShare(MaskBoxes(size=3, count=1), fraction)
    return [share(random_event(1, 2), np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 1.0])
def test_the_share_of_masked_events(fraction: float) -> None:
    """200 coins: within four standard deviations."""
    masked = sum(bool(event.labels["candidate"].any()) for event in views(fraction))
    assert abs(masked / 200 - fraction) <= 4 * np.sqrt(fraction * (1 - fraction) / 200)


def test_masked_and_plain_events_share_a_batch() -> None:
    found = [*views(0.5, 8), MaskedShare(MaskBoxes(size=3, count=1), 1.0)(empty_event(2), np.random.default_rng(0))]
    for event in found:
        assert set(event.labels) >= MASK
    assert collate(found).labels.keys() >= MASK


def test_an_unmasked_event_keeps_its_voxels() -> None:
    event = random_event(1, 2)
    plain = MaskedShare(MaskBoxes(size=3, count=1), 0.0)(event, np.random.default_rng(0))
    np.testing.assert_array_equal(plain.coords, event.coords)
    assert not plain.labels["candidate"].any()
    assert (plain.labels["gap"] == -1).all()


def test_the_same_generator_gives_the_same_view() -> None:
    for first, second in zip(views(0.5, 8), views(0.5, 8), strict=True):
        np.testing.assert_array_equal(first.coords, second.coords)

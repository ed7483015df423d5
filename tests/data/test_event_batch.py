"""Event.select and collate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import Recipe, as_rows, make_event, random_event, recipes

from lartpc_sparse.data.batch import Batch, collate


def split(batch: Batch, number: int) -> dict[str, np.ndarray]:
    """The columns of one event of a batch."""
    rows = slice(int(batch.offsets[number]), int(batch.offsets[number + 1]))
    columns = {"coords": batch.coords, "feats": batch.feats, "energy": batch.energy, **batch.labels}
    return {name: column[rows].numpy() for name, column in columns.items()}


@given(recipes(min_voxels=1), st.data())
@settings(max_examples=60, deadline=None)
def test_select_follows_inverse_index(recipe: Recipe, data: st.DataObject) -> None:
    event = recipe.event()
    order = data.draw(st.permutations(range(len(event))))
    rows = np.array(order[: data.draw(st.integers(0, len(event)))], dtype=np.int64)
    chosen = event.select(rows)
    assert chosen.inverse_index.shape == (len(event),)
    for file_row in range(len(event)):
        here = chosen.inverse_index[file_row]
        if file_row in rows.tolist():
            np.testing.assert_array_equal(chosen.coords[here], event.coords[file_row])
            assert chosen.labels["instance"][here] == file_row
        else:
            assert here == -1


@given(recipes(min_voxels=1), st.data())
@settings(max_examples=30, deadline=None)
def test_select_twice_is_select_of_both(recipe: Recipe, data: st.DataObject) -> None:
    event = recipe.event()
    first = np.array(data.draw(st.lists(st.booleans(), min_size=len(event), max_size=len(event))))
    once = event.select(first)
    second = np.array(data.draw(st.lists(st.booleans(), min_size=len(once), max_size=len(once))), dtype=bool)
    twice = once.select(second)
    both = np.zeros(len(event), dtype=bool)
    both[np.flatnonzero(first)[second]] = True
    direct = event.select(both)
    np.testing.assert_array_equal(twice.coords, direct.coords)
    np.testing.assert_array_equal(twice.inverse_index, direct.inverse_index)


def test_select_keeps_dropped_voxels_dropped() -> None:
    event = make_event([[0, 0, 0], [1, 1, 1], [2, 2, 2]]).select(np.array([False, True, True]))
    np.testing.assert_array_equal(event.select(np.array([1])).inverse_index, [-1, -1, 0])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.sampled_from([(16, 16), (16, 8, 4)]))
@settings(max_examples=50, deadline=None)
def test_collate_then_split_is_the_identity(sizes: list[int], image_size: tuple[int, ...]) -> None:
    originals = [random_event(n, size, image_size, entry=n) for n, size in enumerate(sizes)]
    batch = collate(originals)
    assert batch.offsets.tolist() == [0, *np.cumsum(sizes)]
    assert len(batch) == len(sizes)
    assert batch.num_voxels == sum(sizes)
    assert batch.batch_index().tolist() == [n for n, size in enumerate(sizes) for _ in range(size)]
    for number, original in enumerate(originals):
        assert batch.keys[number] == original.key
        part = split(batch, number)
        assert part["coords"].tolist() == sorted(original.coords.tolist())
        kept = batch.events[number]
        np.testing.assert_array_equal(part["coords"], kept.coords)
        row = kept.inverse_index  # file row -> row in the batch
        for name, column in {"coords": original.coords, "feats": original.feats, **original.labels}.items():
            np.testing.assert_array_equal(part[name][row], column, err_msg=name)


@pytest.mark.parametrize("where", [0, 1, 2])
def test_collate_keeps_empty_events(where: int) -> None:
    parts = [random_event(1, 5), random_event(2, 7)]
    parts.insert(where, make_event([]))
    batch = collate(parts)
    counts = batch.offsets.diff().tolist()
    assert counts[where] == 0
    assert sorted(counts) == [0, 5, 7]
    assert as_rows(batch.events[(where + 1) % 3]) == as_rows(parts[(where + 1) % 3])


def test_collate_only_empty_events() -> None:
    batch = collate([make_event([]), make_event([])])
    assert batch.coords.shape == (0, 3)
    assert batch.feats.shape == (0, 1)
    assert batch.offsets.tolist() == [0, 0, 0]
    assert batch.labels["semantic"].dtype == torch.int64


def test_collate_refuses_duplicates_and_names_the_cure() -> None:
    event = make_event([[5, 5, 5], [1, 2, 3], [5, 5, 5]], entry=4)
    with pytest.raises(ValueError, match=r"made.h5 entry 4.*\[5, 5, 5\].*merge_duplicates"):
        collate([event])


def test_collate_refuses_events_that_do_not_fit_together() -> None:
    event = random_event(0, 4)
    with pytest.raises(ValueError, match="image_size"):
        collate([event, random_event(0, 4, (8, 8, 8))])
    with pytest.raises(ValueError, match="classes"):
        collate([event, event.replace(classes=("one",))])
    with pytest.raises(ValueError, match="features"):
        collate([event, event.replace(feats=np.ones((4, 2), np.float32))])
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_collate_keeps_labels_that_every_event_has() -> None:
    event = random_event(0, 4)
    more = event.with_labels(extra=np.zeros(4, np.float32))
    assert set(collate([more, event]).labels) == {"semantic", "instance"}
    assert set(collate([more, more]).labels) == {"semantic", "instance", "extra"}


def test_event_refuses_columns_of_other_lengths() -> None:
    event = random_event(0, 4)
    with pytest.raises((ValueError, TypeError), match="semantic"):  # TypeError: the tests' type checks
        event.with_labels(semantic=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="image_size"):
        event.replace(image_size=(16, 16))

"""Index bookkeeping of the embedding loss against loops."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lartpc_sparse.heads.losses import find_instances

voxels = st.tuples(st.integers(0, 3), st.integers(-1, 2), st.integers(-1, 3))  # event, class, instance


@given(rows=st.lists(voxels, max_size=30))
def test_equals_loops(rows: list[tuple[int, int, int]]) -> None:
    event, semantic, instance = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).T
    found = find_instances(instance, semantic, event)

    kept = [i for i, (_, c, k) in enumerate(rows) if c >= 0 and k >= 0]
    names = sorted({rows[i] for i in kept})
    groups = sorted({name[:2] for name in names})
    events = sorted({group[0] for group in groups})
    assert found.count == len(names)
    assert found.voxels.tolist() == kept
    assert [names[k] for k in found.of_voxel.tolist()] == [rows[i] for i in kept]
    assert [groups[g] for g in found.group_of_instance.tolist()] == [name[:2] for name in names]
    assert [events[b] for b in found.event_of_group.tolist()] == [group[0] for group in groups]
    pairs = [(v, names.index(name)) for v, i in enumerate(kept) for name in names if name[:2] == rows[i][:2]]
    assert list(zip(found.pair_voxel.tolist(), found.pair_instance.tolist(), strict=True)) == pairs


@given(rows=st.lists(voxels, max_size=30))
def test_weights_are_those_of_a_mean_of_means_of_means(rows: list[tuple[int, int, int]]) -> None:
    event, semantic, instance = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).T
    found = find_instances(instance, semantic, event)
    names = sorted({row for row in rows if row[1] >= 0 and row[2] >= 0})
    value = {name: float(number) ** 1.5 for number, name in enumerate(names)}
    by_event = []
    for _, in_event in itertools.groupby(names, key=lambda name: name[0]):
        by_class = []
        for _, in_class in itertools.groupby(in_event, key=lambda name: name[1]):
            values = [value[name] for name in in_class]
            by_class.append(sum(values) / len(values))
        by_event.append(sum(by_class) / len(by_class))
    expected = sum(by_event) / len(by_event) if by_event else 0.0
    found_mean = float((found.weights().double() * torch.tensor(list(value.values()), dtype=torch.float64)).sum())
    assert found_mean == pytest.approx(expected, rel=1e-5)


def test_one_instance_number_in_two_classes_is_two_instances() -> None:
    found = find_instances(torch.tensor([7, 7]), torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert found.count == 2
    assert found.group_of_instance.tolist() == [0, 1]
    assert len(found.pair_voxel) == 2


def test_equal_numbers_in_two_events_are_two_instances() -> None:
    found = find_instances(torch.tensor([7, 7]), torch.tensor([0, 0]), torch.tensor([0, 1]))
    assert found.count == 2
    assert found.event_of_group.tolist() == [0, 1]

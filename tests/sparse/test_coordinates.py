"""Packed keys: reversible, sorted like voxels, moved by adding, and refused beyond the limit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lartpc_sparse.sparse import Level, Plan
from lartpc_sparse.sparse.coordinates import (
    MARGIN,
    axis_bits,
    coordinate_limit,
    keys_of,
    max_events,
    pack,
    shift_of,
    unpack,
)


@st.composite
def voxels(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Coordinates anywhere in the allowed range, often at its ends, with event numbers in any order."""
    dim = draw(st.sampled_from([1, 2, 3, 4]))
    limit = coordinate_limit(dim)
    coordinate = st.one_of(st.sampled_from([-limit, -1, 0, 1, limit - 1]), st.integers(-limit, limit - 1))
    event = st.integers(0, max_events(dim) - 1)
    rows = draw(st.lists(st.tuples(event, *[coordinate] * dim), min_size=1, max_size=20))
    table = torch.tensor(rows, dtype=torch.int64)
    return table[:, 1:].to(torch.int32), table[:, 0]


@given(voxels())
def test_unpack_undoes_pack(rows: tuple[Tensor, Tensor]) -> None:
    coords, event = rows
    coords_again, event_again = unpack(pack(coords, event), coords.shape[1])
    assert torch.equal(coords_again, coords)
    assert torch.equal(event_again, event)


@given(voxels())
def test_keys_sort_like_event_and_coordinates(rows: tuple[Tensor, Tensor]) -> None:
    coords, event = rows
    keys = pack(coords, event).tolist()
    tuples = [(number, *voxel) for number, voxel in zip(event.tolist(), coords.tolist(), strict=True)]
    assert [tuples[n] for n in sorted(range(len(keys)), key=keys.__getitem__)] == sorted(tuples)
    assert min(keys) >= 0
    assert max(keys) < torch.iinfo(torch.int64).max


@given(voxels(), st.data())
def test_adding_a_shift_moves_the_voxel(rows: tuple[Tensor, Tensor], data: st.DataObject) -> None:
    coords, event = rows
    dim = coords.shape[1]
    reach = MARGIN - 1 if dim == 1 else MARGIN  # a D = 1 voxel moved further would not fit into int32
    offset = data.draw(st.tuples(*[st.integers(-reach, reach - 1)] * dim))
    moved, same_event = unpack(pack(coords, event) + shift_of(offset), dim)
    assert torch.equal(moved, coords + torch.tensor(offset, dtype=torch.int32))
    assert torch.equal(same_event, event)
    assert torch.equal(keys_of(moved, event), pack(coords, event) + shift_of(offset))


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_fields_fill_63_bits_and_no_more(dim: int) -> None:
    assert max_events(dim) << (dim * axis_bits(dim)) == 1 << 63
    assert coordinate_limit(dim) + MARGIN == 1 << (axis_bits(dim) - 1)


@pytest.mark.parametrize("dim", [0, 5])
def test_other_dimensions_are_refused(dim: int) -> None:
    with pytest.raises(ValueError, match=f"{dim} axes; 1 to 4"):
        axis_bits(dim)


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_coordinates_at_the_limit_are_accepted(dim: int) -> None:
    limit = coordinate_limit(dim)
    coords = torch.tensor([[-limit] * dim, [limit - 1] * dim], dtype=torch.int32)
    assert len(Plan.build(coords, torch.tensor([0, 2])).level((1,) * dim)) == 2


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
@pytest.mark.parametrize("end", ["low", "high"])
def test_coordinates_beyond_the_limit_are_refused(dim: int, end: str) -> None:
    limit = coordinate_limit(dim)
    value = limit if end == "high" else -limit - 1
    for axis in range(dim):
        coords = torch.zeros(3, dim, dtype=torch.int32)
        coords[:, 0] = torch.arange(3)
        coords[1, axis] = value
        with pytest.raises(ValueError, match=f"coordinate {value} on axis {axis} does not fit") as refusal:
            Plan.build(coords, torch.tensor([0, 3]))
        assert f"[{-limit}, {limit})" in str(refusal.value)


def test_too_many_events_are_refused() -> None:
    coords = torch.zeros(1, 3, dtype=torch.int32)
    pack(coords, torch.tensor([max_events(3) - 1]))
    with pytest.raises(ValueError, match=f"{max_events(3) + 1} events .* at most {max_events(3)}"):
        pack(coords, torch.tensor([max_events(3)]))


def test_a_level_in_the_last_event_that_fits() -> None:
    events = max_events(3)
    offsets = torch.zeros(events + 1, dtype=torch.int64)
    offsets[-1] = 1
    level = Level(torch.full((1, 3), coordinate_limit(3) - 1, dtype=torch.int32), offsets, (1, 1, 1))
    assert level.num_events == events
    assert level.sorted_keys[0] < level.sorted_keys[1]

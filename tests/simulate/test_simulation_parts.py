"""Which parts of a simulation are finished, and which files stand in its way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from made_source import MadeConfig

from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.simulate.parts import PartPlan, clear_unfinished, finished_parts, write_part


@pytest.fixture
def plan(tmp_path: Path) -> PartPlan:
    """Ten events in parts of four, all made."""
    made = PartPlan(tmp_path, MadeConfig(), seed=1, events=10, events_per_file=4)
    make(made)
    return made


def make(plan: PartPlan) -> None:
    for part in plan.parts:
        write_part(plan, part, plan.source.build(), lambda events, bad: None)


def test_parts_cover_all_events_once(plan: PartPlan) -> None:
    assert [(part.first, part.stop) for part in plan.parts] == [(0, 4), (4, 8), (8, 10)]
    assert finished_parts(plan) == (list(plan.parts), False)


@pytest.mark.parametrize(
    ("change", "kept", "in_the_way"),
    [
        ({"events": 13}, [0, 1], False),  # the last part is made again, longer
        ({"events": 8}, [0, 1], True),
        ({"events": 9}, [0, 1], True),
        ({"events_per_file": 5}, [], True),
        ({"seed": 2}, [], True),
        ({"source": MadeConfig(voxels=21)}, [], True),
        ({"skip_bad": True}, [], True),
    ],
)
def test_what_is_kept_when_something_changes(
    plan: PartPlan, change: dict[str, Any], kept: list[int], in_the_way: bool
) -> None:
    done, found = finished_parts(dataclasses.replace(plan, **change))
    assert [part.number for part in done if part.number < 2] == kept
    assert found == in_the_way


def test_a_part_without_one_of_its_streams_is_not_finished(plan: PartPlan) -> None:
    plan.path("right", 1).unlink()
    done, in_the_way = finished_parts(plan)
    assert [part.number for part in done] == [0, 2]
    assert not in_the_way


def test_a_damaged_or_foreign_file_is_in_the_way(plan: PartPlan) -> None:
    plan.path("left", 1).write_bytes(b"not HDF5")
    assert finished_parts(plan)[1]


def test_a_part_that_fails_leaves_nothing(tmp_path: Path) -> None:
    plan = PartPlan(tmp_path, MadeConfig(bad=(2,)), seed=1, events=4, events_per_file=4)
    with pytest.raises(BadEventError, match="event 2"):
        make(plan)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_event_is_counted_and_left_empty(tmp_path: Path) -> None:
    plan = PartPlan(tmp_path, MadeConfig(bad=(2,)), seed=1, events=4, events_per_file=4, skip_bad=True)
    told = []
    write_part(plan, plan.parts[0], plan.source.build(), lambda events, bad: told.append((events, bad)))
    assert told == [(1, 0), (1, 0), (1, 1), (1, 0)]
    reader = VoxelsConfig(files=(str(plan.path("left", 0)),)).build()
    assert reader.num_voxels().tolist() == [20, 20, 0, 20]


def test_a_source_that_breaks_its_promise_is_refused(tmp_path: Path) -> None:
    plan = PartPlan(tmp_path, MadeConfig(), seed=1, events=1, events_per_file=1)
    source = plan.source.build()
    whole = source.make
    source.make = lambda seed, index: {"left": whole(seed, index)["left"]}  # type: ignore[method-assign]
    with pytest.raises(UserError, match="it promised"):
        write_part(plan, plan.parts[0], source, lambda events, bad: None)


def test_what_a_killed_simulation_left_is_cleared(tmp_path: Path) -> None:
    left = tmp_path / ".unfinished-00001-xyz"
    left.mkdir()
    (left / "left_00001.h5.partial").write_bytes(b"half")
    clear_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []

"""Event overlay: several events in one image, their instances and particles kept apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.base import Reader
from lartpc_sparse.schema import UserError

__all__ = ["COUNTED_IDS", "TRACK_IDS", "Overlay", "overlay_events"]

Columns = Mapping[str, Shaped[np.ndarray, "_ ..."]]

COUNTED_IDS = ("instance", "fragment", "group", "interaction", "id", "parent_id", "group_id", "interaction_id")
"""Columns that number things from 0 in every event, or refer to such numbers; negative: none."""

TRACK_IDS = ("track_id", "parent_track_id", "ancestor_track_id")
"""Columns that number the tracks of a simulation from 1, or refer to them; 0 and negative: none."""


@dataclass(frozen=True)
class Overlay:
    """Which events are laid over which.

    Attributes:
        reader: source of the added events.
        count: least and most added events, each number with equal probability.
        probability: of an overlay at all.
        same: the added events come from the reader of the events themselves, so an event is not added to itself.
        priority: classes that win a voxel; see `merge_duplicates`.
        id_columns: columns with numbers of their own kind, beside `COUNTED_IDS` and `TRACK_IDS`.

    Raises:
        UserError: the reader has too few events.
    """

    reader: Reader
    count: tuple[int, int] = (1, 1)
    probability: float = 0.5
    same: bool = True
    priority: tuple[str, ...] = ()
    id_columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        others = len(self.reader) - self.same
        if others < self.count[1]:
            raise UserError(
                f"overlay.count asks for up to {self.count[1]} added events, but there are {max(others, 0)} "
                f"{'other events' if self.same else 'events in overlay.reader'}; lower it or give more events"
            )

    def partners(self, index: int, rng: np.random.Generator) -> list[int]:
        """Indices in `reader` of the events that are added to event `index`; different from one another."""
        if rng.random() >= self.probability:
            return []
        number = int(rng.integers(*self.count, endpoint=True))
        drawn = rng.choice(len(self.reader) - self.same, size=number, replace=False)
        return [int(other) + int(self.same and other >= index) for other in drawn]

    def mean_voxels(self) -> int:
        """Voxels that an event gains on average, as stored in the files; for batches with a voxel budget."""
        counts = self.reader.num_voxels()
        added = self.probability * sum(self.count) / 2
        return round(added * float(counts.mean())) if len(counts) else 0


def overlay_events(events: Sequence[Event], id_columns: tuple[str, ...] = ()) -> Event:
    """The rows of several events, one event after the other; the first gives the key.

    Numbers in the columns `COUNTED_IDS`, `TRACK_IDS` and `id_columns`, in the labels and in the particle table, are
    raised from the second event on by one amount an event, so that no two events share one and references stay
    right. A new column `overlay`, in the labels and in the particle table, has the number of the event, 0 the first.
    Voxels that occur in several events are kept: `merge_duplicates` joins them. Nothing is added up here, so that
    `inverse_index` counts the rows of all files, one after the other.

    Raises:
        UserError: events that differ in image size, frame, classes, feature count or columns, or an id column that
            does not hold whole numbers or is too small for the raised ones.
    """
    first = events[0]
    _check_alike(events)
    offsets = _id_offsets(events, id_columns)
    numbered = [(number, event, offsets[number]) for number, event in enumerate(events)]
    labels = [
        {
            **_raised(event, event.labels, offset, id_columns),
            "overlay": np.full(len(event), number, dtype=np.int64),
        }
        for number, event, offset in [entry for entry in numbered if len(entry[1])] or numbered[:1]
    ]
    tables = [
        {
            **_raised(event, event.particles, offset, id_columns),
            "overlay": np.full(len(next(iter(event.particles.values()))), number, dtype=np.int64),
        }
        for number, event, offset in numbered
        if event.particles
    ]
    starts = np.cumsum([0, *(len(event) for event in events[:-1])])
    index = [
        np.where(event.inverse_index < 0, -1, event.inverse_index + start)
        for event, start in zip(events, starts, strict=True)
    ]
    return first.replace(
        coords=np.concatenate([event.coords for event in events]),
        energy=np.concatenate([event.energy for event in events]),
        feats=np.concatenate([event.feats for event in events]),
        labels=_joined(first, labels, "labels"),
        particles=_joined(first, tables, "particle columns") if tables else {},
        inverse_index=np.concatenate(index),
    )


def _check_alike(events: Sequence[Event]) -> None:
    first = events[0]
    for event in events[1:]:
        for name in ("image_size", "classes", "frame"):
            if getattr(event, name) != getattr(first, name):
                raise UserError(
                    f"{event.key} cannot be laid over {first.key}: its {name} is {getattr(event, name)}, "
                    f"not {getattr(first, name)}; overlay events of one kind"
                )
        if event.feats.shape[1] != first.feats.shape[1]:
            raise UserError(f"{event.key} has {event.feats.shape[1]} features, {first.key} {first.feats.shape[1]}")


def _families(id_columns: tuple[str, ...]) -> tuple[tuple[tuple[str, ...], int], ...]:
    """Columns that share their numbers, and the lowest number that is one."""
    return (COUNTED_IDS, 0), (TRACK_IDS, 1), *(((name,), 0) for name in id_columns)


def _id_offsets(events: Sequence[Event], id_columns: tuple[str, ...]) -> list[dict[str, int]]:
    """What is added to each id column of each event."""
    families = _families(id_columns)
    used = [0] * len(families)
    offsets: list[dict[str, int]] = []
    for event in events:
        offsets.append({name: start for (names, _), start in zip(families, used, strict=True) for name in names})
        for number, (names, lowest) in enumerate(families):
            found = [
                _highest(event, name, columns[name], lowest)
                for columns in (event.labels, event.particles)
                for name in names
                if name in columns
            ]
            used[number] += max(found, default=-1) + 1
    return offsets


def _highest(event: Event, name: str, column: Shaped[np.ndarray, "_ ..."], lowest: int) -> int:
    if column.dtype.kind not in "iu":
        raise UserError(f"{event.key}: column {name} numbers things, but has type {column.dtype}; use whole numbers")
    found = column[_real(column, lowest)]
    return int(found.max()) if found.size else -1


def _real(column: Shaped[np.ndarray, "_ ..."], lowest: int) -> Shaped[np.ndarray, "_ ..."]:
    """Which entries are numbers of something; the largest value of an unsigned type means none, as in larcv."""
    real: Shaped[np.ndarray, "_ ..."] = column >= lowest
    return real & (column != np.iinfo(column.dtype).max) if column.dtype.kind == "u" else real


def _raised(event: Event, columns: Columns, offset: Mapping[str, int], id_columns: tuple[str, ...]) -> Columns:
    """The columns with their ids raised."""
    raised = dict(columns)
    for names, lowest in _families(id_columns):
        for name in set(names) & columns.keys():
            column, highest = columns[name], _highest(event, name, columns[name], lowest)
            if highest < lowest or not offset[name]:
                continue
            if highest + offset[name] > np.iinfo(column.dtype).max:
                raise UserError(f"{event.key}: column {name} is {column.dtype}, too small for an overlay; use int64")
            raised[name] = np.where(_real(column, lowest), column + column.dtype.type(offset[name]), column)
    return raised


def _joined(first: Event, parts: Sequence[Columns], what: str) -> Columns:
    """Columns one after the other, in the types of the first part."""
    for part in parts[1:]:
        if part.keys() != parts[0].keys():
            raise UserError(
                f"events laid over {first.key} have other {what}: {sorted(part)} instead of {sorted(parts[0])}; "
                "read the same ones from both"
            )
        for name, column in part.items():
            want = parts[0][name]
            if not np.can_cast(column.dtype, want.dtype, "same_kind") or column.shape[1:] != want.shape[1:]:
                raise UserError(
                    f"events laid over {first.key} have {name} of type {column.dtype} and row shape "
                    f"{column.shape[1:]} instead of {want.dtype} and {want.shape[1:]}"
                )
    return {
        name: np.concatenate([part[name] for part in parts], dtype=column.dtype, casting="same_kind")
        for name, column in parts[0].items()
    }

"""The files that a simulation is written to, one part after the other; a part is there entirely or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5
import numpy as np

from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.event_parts import EventPart, event_parts
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.simulate.base import EventSource, SourceConfig, Stream

__all__ = ["PartPlan", "clear_unfinished", "finished_parts", "write_part"]

_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class PartPlan:
    """Where the events of a simulation go.

    Attributes:
        folder: of all parts.
        source: makes the events.
        seed: of all events.
        events: their number.
        events_per_file: the most events of a part.
        skip_bad: leave an event empty that cannot be made.
        inputs: name, size and time of the files that the source reads.
    """

    folder: Path
    source: SourceConfig
    seed: int
    events: int
    events_per_file: int
    skip_bad: bool = False
    inputs: tuple[tuple[str, int, int], ...] = ()

    @property
    def parts(self) -> tuple[EventPart, ...]:
        """All parts."""
        return event_parts(self.events, self.events_per_file)

    @property
    def identity(self) -> str:
        """Hash of everything that the events of a part depend on, besides its range."""
        values = [self.source.model_dump(mode="json"), self.seed, self.skip_bad, self.inputs]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def path(self, stream: str, number: int) -> Path:
        """File of one stream of a part."""
        return self.folder / f"{stream}_{number:05d}.h5"


def finished_parts(plan: PartPlan) -> tuple[list[EventPart], bool]:
    """The parts of the plan that are complete, and whether other files stand in their way.

    A part is complete when all its streams have a file that says so. In the way are parts of another simulation, or
    with other ranges of events; a shorter last part of the same simulation is not, it is written again.
    """
    wanted = {part.number: part for part in plan.parts}
    done: dict[int, set[str]] = {}
    streams: set[str] = set()
    in_the_way = False
    for path in sorted(plan.folder.glob("*_[0-9][0-9][0-9][0-9][0-9].h5")):
        stream, _, digits = path.stem.rpartition("_")
        found = _read_range(path)
        part = wanted.get(int(digits))
        if found is None or found[0] != plan.identity or part is None or found[1] != part.first or found[2] > part.stop:
            in_the_way = True
        elif found[2] == part.stop:
            done.setdefault(part.number, set()).add(stream)
            streams |= set(found[3])
    return [wanted[number] for number, found_streams in sorted(done.items()) if found_streams == streams], in_the_way


def _read_range(path: Path) -> tuple[str, int, int, list[str]] | None:
    """What a part says about itself; None for any other file."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            attributes = file.attrs
            return (
                str(as_text(attributes["simulation"])),
                int(attributes["first_event"]),
                int(attributes["stop_event"]),
                json.loads(as_text(attributes["streams"])),
            )
    except (OSError, KeyError, ValueError):
        return None


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed simulation has left of its unfinished parts."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def write_part(plan: PartPlan, part: EventPart, source: EventSource, tell: Callable[[int, int], None]) -> None:
    """Make the events of a part and write its files, which appear at their places when all are complete.

    Args:
        plan: where they go.
        part: which events.
        source: makes them.
        tell: called after every event with the numbers of events and of bad events that are new.

    Raises:
        BadEventError: an event cannot be made and the plan does not skip those.
        UserError: no event can be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{_UNFINISHED}{part.number:05d}-", dir=plan.folder))
    try:
        streams = source.streams
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(
                    _writer(folder / plan.path(name, part.number).name, plan, part, streams, name)
                )
                for name in streams
            }
            bad = _write_events(plan, part, source, writers, tell)
            for writer in writers.values():
                writer.set_attribute("bad_events", bad)
        for name in streams:
            (folder / plan.path(name, part.number).name).replace(plan.path(name, part.number))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _writer(
    path: Path, plan: PartPlan, part: EventPart, streams: Mapping[str, Stream], name: str
) -> AbstractContextManager[Any]:
    stream = streams[name]
    attributes = {
        **stream.attributes,
        "simulation": plan.identity,
        "source": json.dumps(plan.source.model_dump(mode="json")),
        "seed": plan.seed,
        "streams": json.dumps(sorted(streams)),
        "first_event": part.first,
        "stop_event": part.stop,
    }
    if stream.open_writer is not None:
        return stream.open_writer(path, image_size=stream.image_size, origin=stream.origin, attributes=attributes)
    return VoxelFileWriter(
        path,
        image_size=stream.image_size,
        classes=stream.classes,
        voxel_size_mm=stream.voxel_size_mm,
        origin=stream.origin,
        attributes=attributes,
    )


def _write_events(
    plan: PartPlan,
    part: EventPart,
    source: EventSource,
    writers: Mapping[str, Any],
    tell: Callable[[int, int], None],
) -> int:
    """Returns the number of bad events."""
    bad = 0
    for index in range(part.first, part.stop):
        try:
            images: Mapping[str, Any] = source.make(plan.seed, index)
            failed = False
        except BadEventError:
            if not plan.skip_bad:
                raise
            images = {name: _empty(stream, index) for name, stream in source.streams.items()}
            failed = True
        _same_streams(images, writers, index)
        for name, writer in writers.items():
            writer.write(images[name])
        bad += failed
        tell(1, int(failed))
    return bad


def _empty(stream: Stream, index: int) -> Event:
    dim = len(stream.image_size)
    return Event(
        key=EventKey("simulation", index),
        coords=np.zeros((0, dim), dtype=np.int32),
        energy=np.zeros(0, dtype=np.float32),
        image_size=stream.image_size,
        classes=stream.classes,
    )


def _same_streams(images: Iterable[str], writers: Iterable[str], index: int) -> None:
    if set(images) != set(writers):
        raise UserError(
            f"the source made the images {sorted(images)} for event {index}, but it promised {sorted(writers)}"
        )

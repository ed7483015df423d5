"""Converting event files: in parts that a kill cannot harm, merged at the end.

While it runs, `OUT.parts/` holds finished parts, files of the project's own format with some thousand events each,
and `plan.json`, which says what they are parts of. A part appears under its name only when it is complete. When all
are there, they are written into OUT in one pass, OUT appears in one step, and the folder goes. After a kill, a
conversion goes on after the last finished part.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import Reader, VoxelsConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.data.writers import writer_class
from lartpc_sparse.progress import Progress, track
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["Conversion", "convert"]

logger = logging.getLogger("lartpc_sparse")

NAMED = 100
"""Input files and skipped events that the attributes of the output name; an attribute cannot be of any size."""


@dataclass(frozen=True)
class Conversion:
    """What to convert, and how.

    Attributes:
        output: the file to write.
        to: its format, a name in `WRITERS`.
        plan: what the result depends on besides the input files, for the resume and the attributes of the output.
        on_bad_event: skip: an event that cannot be read becomes an empty one, is logged and counted.
        part_events, writer: events a part; further arguments of the writer.
        attributes: further ones of the output file.
    """

    output: Path
    to: str
    plan: Mapping[str, Any]
    on_bad_event: Literal["fail", "skip"] = "fail"
    part_events: int = 2000
    writer: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return self.output.with_name(self.output.name + ".parts")


def convert(reader: Reader, conversion: Conversion, *, force: bool = False) -> int:
    """Write all events of a reader; takes up the parts of an interrupted run, does nothing when it is done.

    Args:
        reader: the events.
        conversion: what to write, and how.
        force: replace an output that holds something else.

    Returns:
        Number of events that were skipped, now or before.

    Raises:
        UserError: another process converts to the same file; the output is there and holds something else; a bad
            event, when they are not to be skipped; an event that the format cannot hold.
    """
    plan = _plan(reader, conversion)
    skipped = _skipped_in(conversion.output, plan)
    if skipped is not None:
        logger.info("%s is done already", conversion.output)
    elif conversion.output.exists() and not force:
        raise UserError(
            f"{conversion.output} exists and holds something else; --force replaces it, --check compares it with the "
            "input"
        )
    else:
        with _alone(conversion):
            skipped = _make(reader, conversion, plan)
    shutil.rmtree(conversion.folder, ignore_errors=True)
    if skipped:
        logger.warning("%d of %d events were skipped and are empty in %s", skipped, len(reader), conversion.output)
    return skipped


def _make(reader: Reader, conversion: Conversion, plan: str) -> int:
    _take_up(conversion.folder, plan)
    number = -(-len(reader) // conversion.part_events) or 1
    bad: dict[int, str] = {}
    with track("convert", total=len(reader), rate="voxels") as bar:
        parts = [_finished_part(reader, conversion, place, bar, bad) for place in range(number)]
    attributes: dict[str, str | int] = {
        "conversion": _digest(plan),
        "converted_from": json.dumps(list(reader.files[:NAMED])),
        "converted_files": len(reader.files),
        "skipped_events": len(bad),
        "skipped": json.dumps(dict(list(bad.items())[:NAMED])),
        **conversion.attributes,
    }
    _merge(reader, conversion, parts, attributes)
    return len(bad)


def _digest(plan: str) -> str:
    return hashlib.sha256(plan.encode()).hexdigest()


def _skipped_in(output: Path, plan: str) -> int | None:
    """Number of skipped events in an output of this very conversion; None: it is not there, or another one."""
    try:
        with h5py.File(output, "r", locking=False) as file:
            done = as_text(file.attrs.get("conversion")) == _digest(plan)
            return int(file.attrs["skipped_events"]) if done else None
    except (OSError, KeyError, ValueError, TypeError):
        return None


@contextmanager
def _alone(conversion: Conversion) -> Iterator[None]:
    conversion.folder.mkdir(parents=True, exist_ok=True)
    with (conversion.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another process is converting to {conversion.output}; wait for it") from error
        except OSError:
            logger.debug("no locks in %s", conversion.folder)  # some network file systems have none
        yield


def _plan(reader: Reader, conversion: Conversion) -> str:
    files = []
    for path in reader.files:
        found = Path(path).stat()
        files.append([os.path.abspath(path), found.st_size, found.st_mtime_ns])  # noqa: PTH100
    return json.dumps(
        {
            **{**conversion.plan, **conversion.writer},
            "to": conversion.to,
            "events": len(reader),
            "part_events": conversion.part_events,
            "files": files,
        },
        sort_keys=True,
    )


def _take_up(folder: Path, plan: str) -> None:
    """Keep the parts of the same conversion, remove those of another."""
    stored = folder / "plan.json"
    if stored.exists() and stored.read_text() == plan:
        return
    old = [path for path in folder.iterdir() if path.name != "lock"]
    if any(path.suffix == ".h5" for path in old):
        logger.warning("%s holds parts of another conversion (other inputs or options); they are made anew", folder)
    for path in old:
        path.unlink()
    partial = folder / "plan.json.partial"
    partial.write_text(plan)
    partial.replace(stored)


def _finished_part(
    reader: Reader, conversion: Conversion, place: int, bar: Progress, skipped: dict[int, str]
) -> tuple[Path, int]:
    """Path and number of events of a part, which is written now if it is not there."""
    path = conversion.folder / f"part-{place:06d}.h5"
    said = path.with_suffix(".json")
    first = place * conversion.part_events
    stop = min(first + conversion.part_events, len(reader))
    if path.exists() and said.exists():
        bad = {int(index): reason for index, reason in json.loads(said.read_text()).items()}
        if bad and conversion.on_bad_event == "fail":
            raise BadEventError(next(iter(bad.values())))
        bar.advance(stop - first, voxels=0)
    else:
        bad = {}
        with VoxelFileWriter(path, **_layout(reader)) as writer:
            for index in range(first, stop):
                event = _read(reader, index, conversion, bad)
                _write(writer, event)
                bar.advance(voxels=len(event), skipped=len(skipped) + len(bad))
            partial = said.with_suffix(".json.partial")
            partial.write_text(json.dumps(bad))
            partial.replace(said)  # before the part itself appears
    skipped |= bad
    return path, stop - first


def _read(reader: Reader, index: int, conversion: Conversion, bad: dict[int, str]) -> Event:
    try:
        return reader.read(index)
    except BadEventError as error:
        if conversion.on_bad_event == "fail":
            raise BadEventError(f"{error}; with --on-bad-event skip it becomes an empty event") from error
        logger.warning("event skipped: %s", error)
        bad[index] = str(error)
        return Event(
            key=reader.key(index),
            coords=np.zeros((0, len(reader.image_size)), dtype=np.int32),
            energy=np.zeros(0, dtype=np.float32),
            image_size=reader.image_size,
            classes=reader.classes,
        )


def _layout(reader: Reader) -> dict[str, Any]:
    header = getattr(reader, "header", None)
    return {
        "image_size": reader.image_size,
        "classes": reader.classes,
        "voxel_size_mm": getattr(reader, "voxel_size_mm", None),
        "origin": getattr(header, "origin", "") or f"converted from {Path(reader.files[0]).name}",
    }


def _write(writer: Any, event: Event) -> None:
    try:
        writer.write(event)
    except ValueError as error:
        raise BadEventError(f"{error}; the output format cannot hold it") from error


def _merge(
    reader: Reader, conversion: Conversion, parts: list[tuple[Path, int]], attributes: Mapping[str, str | int]
) -> None:
    layout = {**_layout(reader), **conversion.writer}
    writer = writer_class(conversion.to)(conversion.output, attributes=attributes, **layout)
    with track("write", total=len(reader), rate="voxels") as bar, writer:
        for path, number in parts:
            part = VoxelsConfig(files=(str(path),)).build()
            if len(part) != number:
                raise UserError(f"{path} has {len(part)} events, expected {number}; delete {conversion.folder}")
            for index in range(number):
                event = part.read(index)
                _write(writer, event)
                bar.advance(voxels=len(event))

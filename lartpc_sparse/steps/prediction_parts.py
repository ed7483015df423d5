"""The parts of a prediction: ranges of events, each predicted by one process into one file.

While it runs, `predictions.h5.parts/<identity>/` holds the finished parts, each with a small file that says its
checksum. Which events a part has depends on the events alone, not on the ranks: so the results are the same to the
last bit whoever predicts a part. When all are there, one process joins them in the order of the events.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.event_parts import EventPart, event_parts
from lartpc_sparse.data.rank_shares import divide
from lartpc_sparse.jobs import note, replace_durably, sync_folder

__all__ = ["PredictionParts"]

logger = logging.getLogger("lartpc_sparse")

_LEAST, _MOST, _NUMBER = 64, 2000, 64
"""Events of a part when nobody says: at least, at most, and the number of parts between."""


@dataclass(frozen=True)
class PredictionParts:
    """The parts of one prediction.

    Attributes:
        output: the file of all of them.
        identity: hash of all that the results depend on.
        events: number of events.
        batch_events: parts hold a multiple of it, 1 where batches are packed by voxels.
        part_events: events of a part; None: chosen from their number.
        maker: short name of what makes them (device, engine, version): parts of another maker are not taken over, so
            that the file is of one piece.
    """

    output: Path
    identity: str
    events: int
    batch_events: int = 1
    part_events: int | None = None
    maker: str = ""

    @property
    def folder(self) -> Path:
        """Of the parts."""
        name = "-".join(filter(None, (self.identity[:16], str(self.size), self.maker)))
        return self.output.with_name(self.output.name + ".parts") / name

    @property
    def size(self) -> int:
        """Events of a part."""
        if self.part_events is not None:
            return self.part_events
        wanted = min(max(-(-self.events // _NUMBER), _LEAST), _MOST)
        return -(-wanted // self.batch_events) * self.batch_events

    @property
    def parts(self) -> tuple[EventPart, ...]:
        """All of them; one without events when there are none."""
        return event_parts(self.events, self.size) or (EventPart(0, 0, 0),)

    def path(self, part: EventPart) -> Path:
        """File of a part."""
        return self.folder / f"part-{part.number:06d}.h5"

    def share(self, voxels: Int64[np.ndarray, " E"], number: int, count: int) -> list[EventPart]:
        """The parts of process `number` of `count`, with about as many voxels as those of the others."""
        parts = self.parts
        sizes = np.array([int(voxels[part.first : part.stop].sum()) + part.stop - part.first for part in parts])
        chosen = divide(list(range(len(parts))), sizes.astype(np.int64), count)[number]
        return [parts[place] for place in chosen]

    def finish(self, part: EventPart) -> None:
        """Say that a part is complete: its checksum, which only appears when all of the part is on the disk."""
        path = self.path(part)
        said = path.with_suffix(".json")
        partial = said.with_suffix(".json.partial")
        values = {"sha256": _sha256(path), "bytes": path.stat().st_size, "first": part.first, "stop": part.stop}
        partial.write_text(json.dumps(values) + "\n", encoding="utf-8")
        replace_durably(partial, said)
        note("part_done", part=part.number, of=len(self.parts), **values)

    def is_done(self, part: EventPart) -> bool:
        """Whether a part is there and as it was written; a damaged one is said and removed."""
        path, said = self.path(part), self.path(part).with_suffix(".json")
        if not said.exists():
            return False
        try:
            values = json.loads(said.read_text(encoding="utf-8"))
            good: bool = path.stat().st_size == values["bytes"] and _sha256(path) == values["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            good = False
        if not good:
            logger.warning("%s is damaged or missing and is predicted again", path)
            said.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        return good

    def missing(self) -> list[EventPart]:
        """The parts without a word that they are complete; their checksums are not looked at."""
        return [part for part in self.parts if not self.path(part).with_suffix(".json").exists()]

    def files(self) -> Iterator[Path]:
        """The files of all parts, in the order of the events."""
        return (self.path(part) for part in self.parts)

    def clear(self) -> None:
        """Remove the parts of this and of earlier predictions into the same file."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        sync_folder(self.output.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

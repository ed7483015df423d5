"""Damaged copies of a file: cut short, or with bits flipped."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.schema import UserError


def heap_headers(data: bytes) -> list[int]:
    """Positions of the headers in the global heaps of an HDF5 file (file format specification, III.E)."""
    found: set[int] = set()
    heap = data.find(b"GCOL")
    while heap >= 0:
        end = heap + int.from_bytes(data[heap + 8 : heap + 16], "little")
        found.update(range(heap, heap + 16))
        at = heap + 16
        while at + 16 <= end:
            found.update(range(at, at + 16))
            if data[at : at + 2] == b"\0\0":
                break
            at += 16 + -(-int.from_bytes(data[at + 8 : at + 16], "little") // 8) * 8
        heap = data.find(b"GCOL", end)
    return sorted(found)


def same_content(one: object, other: object) -> bool:
    """Equal voxels, labels and tables of two events."""
    columns = [{"coords": e.coords, "energy": e.energy, **e.labels, **e.particles} for e in (one, other)]  # type: ignore[attr-defined]
    return columns[0].keys() == columns[1].keys() and all(
        np.array_equal(columns[0][name], columns[1][name]) for name in columns[0]
    )


def readable(config: ReaderConfig) -> Iterator[Event]:
    """The events of one damaged file that can be read; any error must name the file."""
    path = config.files[0]  # type: ignore[attr-defined]
    try:
        reader = config.build()
        found = range(len(reader))
    except UserError as error:
        _names(error, path)
        return
    for index in found:
        try:
            event = reader.read(index)
        except UserError as error:
            _names(error, path)
        else:
            yield event


def _names(error: UserError, path: str) -> None:
    if path not in str(error):
        raise AssertionError(f"the error does not name {path}: {error}")


class Damage(NamedTuple):
    """A damage; places are fractions of the length, so that it fits any file.

    `parts` and `values`: bytes to change, exclusive or with a value that is not 0; `keep` less than 1: cut there.
    `on_targets`: the bytes are those of a part of the file that is worth it, where the test names one.
    """

    keep: float
    parts: list[float]
    values: list[int]
    on_targets: bool = False

    def of(self, good: bytes, targets: Sequence[int] = ()) -> bytes:
        """A damaged copy; with `targets`, positions, half of the damages are there."""
        bad = bytearray(good)
        places = targets if self.on_targets and targets else range(len(bad))
        for part, value in zip(self.parts, self.values, strict=True):
            bad[places[int(part * len(places))]] ^= value
        return bytes(bad[: int(self.keep * len(bad))])


def damages() -> st.SearchStrategy[Damage]:
    """Files cut short, single bits flipped, bytes overwritten here and there or side by side.

    Hypothesis draws a seed: numbers of its own lie near 0 far too often, and damage belongs everywhere in a file.
    """
    return st.integers(0, 2**32 - 1).map(_drawn)


def _drawn(seed: int) -> Damage:
    rng = random.Random(seed)
    if rng.randrange(4) == 0:
        return Damage(rng.random(), [], [])
    count, targets = rng.choice([1, 3, 20]), rng.random() < 0.5
    if rng.random() < 0.5:
        return Damage(1, [rng.random() for _ in range(count)], [1 << rng.randrange(8) for _ in range(count)], targets)
    start, length = rng.random(), rng.choice([1e-4, 1e-3, 1e-2])
    parts = [min(start + length * step / count, 1 - 1e-9) for step in range(count)]
    return Damage(1, parts, [rng.randrange(1, 256) for _ in range(count)], targets)

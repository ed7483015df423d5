"""Damaged copies of a file: cut short, or with bits flipped."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import ReaderConfig
from lartpc_sparse.schema import UserError


def damaged(good: bytes, seed: int, spare: Collection[int] = ()) -> bytes:
    """A damaged copy; the bytes at the positions `spare` stay."""
    rng = random.Random(seed)
    bad = bytearray(good)
    mode = rng.choice(["cut", "flip", "flip", "overwrite"])
    if mode == "cut":
        return bytes(bad[: rng.randrange(len(bad))])
    start, length = rng.randrange(len(bad)), rng.choice([4, 64, 512])
    spread = rng.sample(range(len(bad)), rng.choice([1, 3, 20]))
    where = spread if mode == "flip" else range(start, min(start + length, len(bad)))
    for position in sorted(set(where) - set(spare)):
        bad[position] ^= 1 << rng.randrange(8) if mode == "flip" else rng.randrange(256)
    return bytes(bad)


def heap_headers(data: bytes) -> set[int]:
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
    return found


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
    """A damage that hypothesis draws; places are fractions of the length, so that it fits any file and shrinks.

    `parts` and `values`: bytes to change, exclusive or with a value that is not 0; `keep` less than 1: cut there.
    """

    keep: float
    parts: list[float]
    values: list[int]

    def of(self, good: bytes, spare: Collection[int] = ()) -> bytes:
        """A damaged copy; the bytes at the positions `spare` stay."""
        bad = bytearray(good)
        for part, value in zip(self.parts, self.values, strict=True):
            position = int(part * len(bad))
            if position not in spare:
                bad[position] ^= value
        return bytes(bad[: int(self.keep * len(bad))])


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """Files cut short, single bits flipped, bytes overwritten here and there or side by side."""
    place = st.floats(0, 1, exclude_max=True)
    if draw(st.integers(0, 3)) == 0:
        return Damage(draw(place), [], [])
    count = draw(st.sampled_from([1, 3, 20]))
    if draw(st.booleans()):
        bits = st.integers(0, 7).map(lambda bit: 1 << bit)
        return Damage(1, draw(_many(place, count)), draw(_many(bits, count)))
    start, length = draw(place), draw(st.sampled_from([1e-4, 1e-3, 1e-2]))
    parts = [min(start + length * step / count, 1 - 1e-9) for step in range(count)]
    return Damage(1, parts, draw(_many(st.integers(1, 255), count)))


def _many(values: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=count, max_size=count)

"""Damaged copies of a file: cut short, or with bits flipped."""

from __future__ import annotations

import random
from collections.abc import Collection

import numpy as np


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

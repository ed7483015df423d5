"""Events for the tests of this folder: made by hand, at random, or by hypothesis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from lartpc_sparse.data.event import Event, EventKey


def make_event(
    coords: object,
    energy: object | None = None,
    *,
    image_size: tuple[int, ...] = (16, 16, 16),
    entry: int = 0,
    semantic: object | None = None,
) -> Event:
    """An event with labels `semantic` and `instance`; the instance is the row number."""
    dim = len(image_size)
    where = np.asarray(coords, dtype=np.int32).reshape(-1, dim)
    n = len(where)
    return Event(
        key=EventKey("made.h5", entry),
        coords=where,
        energy=np.ones(n, np.float32) if energy is None else np.asarray(energy, dtype=np.float32),
        image_size=image_size,
        classes=("track", "shower", "delta"),
        labels={
            "semantic": np.zeros(n, np.int64) if semantic is None else np.asarray(semantic, dtype=np.int64),
            "instance": np.arange(n, dtype=np.int64),
        },
        particles={"pdg": np.array([13, 11])},
    )


def random_event(seed: int, n: int, image_size: tuple[int, ...] = (16, 16, 16), entry: int = 0) -> Event:
    """`n` different voxels in random order with random energies and classes."""
    rng = np.random.default_rng(seed)
    where = rng.choice(int(np.prod(image_size)), size=n, replace=False)
    coords = np.stack(np.unravel_index(where, image_size), axis=1)
    semantic = rng.integers(-1, 3, n)
    return make_event(coords, rng.uniform(0.05, 10, n), image_size=image_size, entry=entry, semantic=semantic)


class Recipe(NamedTuple):
    """What hypothesis draws; the event is built in the test, outside of the strategy.

    The run-time type checks of Event use the global random generator, which a strategy must not touch.
    """

    coords: list[tuple[int, ...]]
    energy: list[float]
    image_size: tuple[int, ...]

    def event(self) -> Event:
        semantic = [row % 4 - 1 for row in range(len(self.coords))]
        return make_event(self.coords, self.energy, image_size=self.image_size, semantic=semantic)


@st.composite
def recipes(draw: st.DrawFn, *, duplicates: bool = False, min_voxels: int = 0) -> Recipe:
    """Events in 2D and 3D, empty ones included."""
    dim = draw(st.sampled_from([2, 3]))
    image_size = tuple(draw(st.lists(st.integers(1, 9), min_size=dim, max_size=dim)))
    voxel = st.tuples(*(st.integers(0, size - 1) for size in image_size))
    most = min(12, int(np.prod(image_size)))
    coords = draw(st.lists(voxel, min_size=min(min_voxels, most), max_size=most, unique=not duplicates))
    energy = draw(st.lists(st.floats(0, 50, width=32), min_size=len(coords), max_size=len(coords)))
    return Recipe(coords, energy, image_size)


def as_rows(event: Event) -> dict[tuple[int, ...], float]:
    """Voxel -> energy."""
    return {tuple(c): float(e) for c, e in zip(event.coords.tolist(), event.energy, strict=True)}

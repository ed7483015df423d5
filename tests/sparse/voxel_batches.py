"""Batches of voxels to test with: fixed samples, edge cases, and a hypothesis strategy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

Voxel = tuple[int, ...]

for_every_engine = settings(
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.function_scoped_fixture]
)
"""Properties in a contract run in one class an engine; the engine is a value, so examples may share it."""


@dataclass(frozen=True)
class Voxels:
    """Voxels of a batch as the engine takes them: events one after the other, rows in any order."""

    coords: Tensor
    offsets: Tensor

    @property
    def dim(self) -> int:
        return self.coords.shape[1]

    @property
    def events(self) -> list[list[Voxel]]:
        rows = [tuple(row) for row in self.coords.tolist()]
        return [rows[start:stop] for start, stop in itertools.pairwise(self.offsets.tolist())]

    def __len__(self) -> int:
        return len(self.coords)


def from_events(events: Sequence[Sequence[Voxel]], dim: int) -> Voxels:
    """Voxels of the events given as lists of tuples."""
    rows = [voxel for event in events for voxel in event]
    coords = torch.tensor(rows, dtype=torch.int32).reshape(len(rows), dim)
    return Voxels(coords, torch.tensor([0, *itertools.accumulate(len(event) for event in events)]))


def sample(dim: int, seed: int = 0) -> Voxels:
    """Six events: empty, crowded, empty, one voxel, crowded, empty; negative coordinates, shuffled rows."""
    rng = np.random.default_rng(seed)
    low, high = {1: (-9, 10), 2: (-5, 6), 3: (-4, 5), 4: (-2, 3)}[dim]
    box = list(itertools.product(range(low, high), repeat=dim))

    def crowd(fraction: float) -> list[Voxel]:
        return [box[n] for n in rng.permutation(len(box))[: int(fraction * len(box))]]

    return from_events([[], crowd(0.4), [], [(-1,) * dim], crowd(0.2), []], dim)


def edge_cases(dim: int) -> dict[str, Voxels]:
    """Batches at which an engine may stumble, by name."""
    pair = [(0,) * dim, (1,) * dim]
    row = [(*[-2] * (dim - 1), z) for z in range(3, -4, -1)]
    return {
        "no event": from_events([], dim),
        "one empty event": from_events([[]], dim),
        "three empty events": from_events([[], [], []], dim),
        "one voxel": from_events([[(3,) * dim]], dim),
        "one negative voxel": from_events([[(-1,) * dim]], dim),
        "first event empty": from_events([[], pair, row], dim),
        "middle event empty": from_events([pair, [], row], dim),
        "last event empty": from_events([pair, row, []], dim),
        "same voxels in every event": from_events([row, row, row], dim),
    }


def at_the_limit(dim: int, limit: int) -> Voxels:
    """Voxels at both ends of every axis, [-limit, limit), and beside them: fields of a key that touch."""
    ends = (-limit, -limit + 1, limit - 2, limit - 1)
    corners = list(itertools.product(ends, repeat=dim))
    rng = np.random.default_rng(1)
    return from_events([[corners[n] for n in rng.permutation(len(corners))], [], corners], dim)


@st.composite
def batches(draw: st.DrawFn, dims: Sequence[int] = (1, 2, 3, 4), min_events: int = 0) -> Voxels:
    """Up to four small events, crowded enough for neighbours, in D axes."""
    dim = draw(st.sampled_from(dims))
    reach = {1: 8, 2: 3, 3: 2, 4: 1}[dim]
    voxel = st.tuples(*[st.integers(-reach, reach)] * dim)
    events = draw(st.lists(st.lists(voxel, unique=True, max_size=12), min_size=min_events, max_size=4))
    return from_events(events, dim)

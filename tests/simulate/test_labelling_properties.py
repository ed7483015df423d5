"""Labels of random events against brute force and against what must hold for any event."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_truth import ELECTRON, MUON, NEUTRON, PHOTON, PROTON, SIZE, Truth

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.simulate.labelling import LabelRules, Process
from lartpc_sparse.simulate.labelling.ancestry import Kind, find_ancestry
from lartpc_sparse.simulate.labelling.components import VoxelKeys, connected_parts

RULES = LabelRules()


def random_truth(seed: int, tracks: int = 30) -> Truth:
    """Random walks with random parents, crowded so that everything overlaps."""
    rng = np.random.default_rng(seed)
    truth = Truth()
    for row in range(tracks):
        pdg = int(rng.choice([MUON, PROTON, ELECTRON, -ELECTRON, PHOTON, NEUTRON]))
        parent = int(rng.integers(-1, row)) if row else -1
        process = Process.PRIMARY if parent < 0 else Process(int(rng.integers(1, 5)))
        walk = np.cumsum(rng.integers(-1, 2, (int(rng.integers(0, 40)), 3)), axis=0) + rng.integers(20, 40, 3)
        energy, interaction, mev = float(rng.uniform(0, 60)), int(rng.integers(3)), float(rng.uniform(0.01, 2))
        truth.track(pdg, np.clip(walk, 0, 63), parent=parent, process=process, energy=energy,
                    interaction=interaction, mev=mev, start=rng.integers(0, 63, 3))  # fmt: skip
    return truth


def brute_parts(cells: list[tuple[int, int, int]]) -> list[set[tuple[int, int, int]]]:
    """26-connected parts by flooding."""
    left, parts = set(cells), []
    while left:
        flood, part = [left.pop()], set()
        while flood:
            cell = flood.pop()
            part.add(cell)
            for step in itertools.product((-1, 0, 1), repeat=3):
                near = (cell[0] + step[0], cell[1] + step[1], cell[2] + step[2])
                if near in left:
                    left.remove(near)
                    flood.append(near)
        parts.append(part)
    return parts


@given(seed=st.integers(0, 10_000), size=st.integers(1, 6), count=st.integers(0, 60), owners=st.integers(1, 4))
def test_connected_parts_are_those_of_flooding(seed: int, size: int, count: int, owners: int) -> None:
    rng = np.random.default_rng(seed)
    voxels = VoxelKeys((size, size, size))
    rows = np.unique(np.column_stack([rng.integers(0, owners, count), rng.integers(0, size, (count, 3))]), axis=0)
    keys = voxels.encode(rows[:, 1:])
    np.testing.assert_array_equal(voxels.decode(keys), rows[:, 1:])
    parts = connected_parts(rows[:, 0], keys, voxels)
    found = {
        frozenset((int(rows[i, 0]), *map(int, rows[i, 1:])) for i in np.flatnonzero(parts == p))
        for p in np.unique(parts)
    }
    expected = {
        frozenset((owner, *cell) for cell in part)
        for owner in range(owners)
        for part in brute_parts([tuple(map(int, row[1:])) for row in rows if row[0] == owner])
    }
    assert found == expected


@pytest.mark.parametrize("seed", range(20))
def test_heads_are_those_of_climbing_up(seed: int) -> None:
    tracks = random_truth(seed, 60).tracks()
    ancestry = find_ancestry(tracks)
    light = np.isin(np.abs(tracks.pdg), (11, 22))
    for row in range(len(tracks)):
        head = row
        while tracks.parent[head] >= 0 and light[head] and light[tracks.parent[head]]:
            head = tracks.parent[head]
        root = row
        while tracks.parent[root] >= 0:
            root = tracks.parent[root]
        assert ancestry.head[row] == head
        assert ancestry.interaction[row] == tracks.interaction[root]
        if ancestry.kind[row] == Kind.DELTA:
            assert abs(tracks.pdg[row]) == 11
            assert tracks.process[row] == Process.IONISATION


@pytest.mark.parametrize("seed", range(30))
def test_what_holds_for_every_event(seed: int) -> None:
    truth = random_truth(seed)
    event = truth.event()
    deposits = truth.deposits()
    summed: dict[tuple[int, ...], float] = {}
    for cell, energy in zip(deposits.coords.tolist(), deposits.energy_mev.tolist(), strict=True):
        summed[tuple(cell)] = summed.get(tuple(cell), 0.0) + energy
    visible = {cell: energy for cell, energy in summed.items() if energy >= RULES.min_mev}
    assert {tuple(cell) for cell in event.coords.tolist()} == set(visible)
    assert len(event) == len(visible)
    np.testing.assert_allclose(event.energy, [visible[tuple(cell)] for cell in event.coords.tolist()], rtol=1e-6)

    labels, low = event.labels, event.labels["semantic"] == SIX.index("low_energy")
    for name in ("instance", "fragment", "group", "interaction", "pid"):
        assert (labels[name][low] == -1).all()
    np.testing.assert_array_equal(labels["fragment"], labels["instance"])
    assert (labels["fragment"][~low] >= 0).all()
    assert (np.diff(labels["fragment"]) >= 0).all()  # low energy first, then fragment by fragment
    _check_fragments(event)


def _check_fragments(event: Event) -> None:
    labels, table = event.labels, event.particles
    np.testing.assert_array_equal(np.repeat(table["fragment"], table["n_points"]), labels["fragment"])
    smallest = {"shower": 10, "MIP": 3, "HIP": 3, "Michel": 3, "delta": 3}
    for fragment in range(labels["fragment"].max(initial=-1) + 1):
        rows = labels["fragment"] == fragment
        for name in ("semantic", "group", "interaction", "pid"):
            assert len(np.unique(labels[name][rows])) == 1
        semantic = int(labels["semantic"][rows][0])
        assert rows.sum() >= smallest[event.classes[semantic]]
        group = int(labels["group"][rows][0])
        assert group <= fragment
        assert (labels["group"][labels["fragment"] == group] == group).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_deposits_does_not_matter(seed: int) -> None:
    truth = random_truth(seed)
    first = truth.event()
    rng = np.random.default_rng(seed)
    truth.steps = [truth.steps[i] for i in rng.permutation(len(truth.steps))]
    second = truth.event()
    np.testing.assert_array_equal(first.coords, second.coords)
    for name, column in first.labels.items():
        np.testing.assert_allclose(column, second.labels[name], rtol=1e-6)


def test_events_fit_into_the_flat_format(tmp_path: object) -> None:
    path = f"{tmp_path}/events.h5"
    with VoxelFileWriter(path, image_size=SIZE, classes=SIX) as writer:
        for seed in range(3):
            writer.write(random_truth(seed).event())
        writer.write(Truth().event())
        assert len(writer) == 4

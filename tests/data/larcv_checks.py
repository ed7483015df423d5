"""What a reader must make of the events of `larcv_files`, from the rules alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from larcv_files import SHAPES, MadeEvent

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.data.event import Event

SPLIT = (*SIX, "ghost", "unknown")
PRECEDENCE = ("track", "Michel", "shower", "delta", "low_energy")
PID = {22: 0, 11: 1, -11: 1, 13: 2, -13: 2, 211: 3, -211: 3, 2212: 4}


def expected_labels(made: MadeEvent) -> dict[tuple[int, ...], dict[str, Any]]:
    """Labels by voxel, one voxel after the other, from the rules alone."""
    names = [SHAPES[shape] for shape in made.particles["shape"].astype(int)]
    found = {}
    for place, semantic in zip(map(tuple, made.coords.tolist()), made.semantic, strict=True):
        owners = [i for i, part in enumerate(made.sets[: len(names)]) if list(place) in part.tolist()]
        owner = min(owners, key=lambda i: (PRECEDENCE.index(names[i]), i), default=-1)
        name = SHAPES[int(semantic)]
        column = lambda key, owner=owner: int(made.particles[key][owner]) if owner >= 0 else -1  # noqa: E731
        pid = PID.get(column("pdg"), -1) if owner >= 0 else -1
        if name == "track":
            name = {4: "HIP", 2: "MIP", 3: "MIP"}.get(pid)
        unset = np.iinfo(np.int64).max
        found[place] = {
            "semantic": name,
            "fragment": owner,
            "instance": -1 if name == "low_energy" else owner,
            "group": -1 if column("group_id") == unset else column("group_id"),
            "interaction": -1 if column("interaction_id") == unset else column("interaction_id"),
            "pid": pid,
        }
    return found


def check_event(event: Event, made: MadeEvent) -> None:
    """Voxel by voxel and particle by particle."""
    assert event.classes == SPLIT
    energies = dict(zip(map(tuple, made.coords.tolist()), made.values, strict=True))
    assert {tuple(c): e for c, e in zip(event.coords.tolist(), event.energy, strict=True)} == energies
    expected = expected_labels(made)
    for row, place in enumerate(map(tuple, event.coords.tolist())):
        found = {name: int(column[row]) for name, column in event.labels.items()}
        semantic = found["semantic"]
        assert found | {"semantic": SPLIT[semantic] if semantic >= 0 else None} == expected[place]
    for name in ("id", "shape", "pdg", "energy_init", "vtx_x"):
        np.testing.assert_array_equal(event.particles[name], made.particles[name])
    assert event.particles["id"].dtype == np.int64

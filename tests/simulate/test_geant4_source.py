"""The Geant4 source; skipped where the package or its tables are not at hand.

Geant4 can be started once in a process, so every case runs in one of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("geant4_pybind") is None, reason="the package geant4-pybind is not installed"
)

SCRIPT = """
import hashlib, json, sys
from lartpc_sparse.simulate.geant4 import Geant4Config
arguments = json.loads(sys.argv[1])
source = Geant4Config.model_validate(arguments["config"]).build()
found = []
for index in arguments["indices"]:
    event = source.make(arguments["seed"], index)["events"]
    arrays = [event.coords, event.energy, *event.labels.values(), *event.particles.values()]
    table = {name: event.particles[name].tolist() for name in ("pdg", "is_primary", "n_points", "kinetic_energy_mev")}
    found.append({
        "index": index,
        "hash": hashlib.md5(b"".join(array.tobytes() for array in arrays)).hexdigest(),
        "energy": float(event.energy.sum()),
        "classes": [event.classes[i] for i in event.labels["semantic"]],
        "coords": event.coords.tolist(),
        "dx": event.labels["dx"].tolist(),
        "time": event.labels["time"].tolist(),
        "energies": event.energy.tolist(),
        "table": table,
    })
stream = source.streams["events"]
print("RESULT", json.dumps({"events": found, "attributes": dict(stream.attributes), "origin": stream.origin}))
"""

MUON = {"count": [1, 1], "region_mm": [[100, 100], [1000, 1000], [1000, 1000]],
        "directions": {"kind": "box", "ranges": [[1, 1], [0, 0], [0, 0]]}}  # fmt: skip


@pytest.fixture
def tables(shared_data: Path) -> str:
    folder = shared_data / "g4data"
    if not folder.is_dir():
        pytest.skip("Geant4's tables are not at hand")
    return str(folder)


@cache
def _run(arguments: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("G4", "GEANT4"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, arguments], capture_output=True, text=True, timeout=300, check=False,
        env={**environment, "CI": "true"}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Would you like to download" not in done.stdout
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert len(lines) == 1, done.stdout[:2000]  # Geant4's banner and tables are not shown
    result: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
    return result


def simulate(indices: list[int], *, seed: int = 3, **config: Any) -> dict[str, Any]:
    return _run(json.dumps({"config": config, "indices": indices, "seed": seed}))


def test_an_event_depends_on_seed_and_index_alone(tables: str) -> None:
    first = {e["index"]: e["hash"] for e in simulate([0, 1, 2, 3, 4, 5], tables=tables)["events"]}
    backwards = {e["index"]: e["hash"] for e in simulate([5, 3, 0], tables=tables)["events"]}
    assert backwards == {index: first[index] for index in (5, 3, 0)}
    assert len(set(first.values())) == 6


def test_what_ran_is_said(tables: str) -> None:
    result = simulate([5, 3, 0], tables=tables)
    attributes = result["attributes"]
    assert attributes["simulator"].startswith("Geant4 11.")
    assert "FTFP_BERT" in attributes["physics"]
    assert "neutron cross sections" in attributes["physics_substitutes"]
    assert attributes["physics_tables"].startswith("G4LEDATA=")
    assert "FTFP_BERT" in result["origin"]


def test_events_have_at_least_min_voxels(tables: str) -> None:
    for event in simulate([0, 1, 2, 3, 4, 5], tables=tables)["events"]:
        assert len(event["coords"]) >= 200
        assert len({tuple(cell) for cell in event["coords"]}) == len(event["coords"])
        assert min(event["energies"]) >= 0.05


def test_a_stopping_muon(tables: str) -> None:
    """200 MeV: a range of 762 mm (Groom et al.), all energy seen but for what decay carries away."""
    bunch = {**MUON, "species": [{"particles": ["mu+"], "kinetic_energy_mev": [200, 200]}]}
    events = simulate(list(range(12)), tables=tables, bunches=[bunch], min_voxels=0)["events"]
    ranges, paths, decays = [], [], []
    for event in events:
        track = np.array([name == "MIP" for name in event["classes"]])
        along = np.array(event["coords"])[track, 0]
        ranges.append((along.max() - along.min() + 1) * 3.0)
        assert along.min() == 33
        assert 195 < event["energy"] < 260
        time = np.array(event["time"])
        assert 0 <= time[track][along == 33].min() < 0.1
        assert (time[track & (np.array(event["dx"]) > 2.5)] < 4.5).all()  # at the speed of light: 2.5 ns for 764 mm
        decays += time[[name == "Michel" for name in event["classes"]]].tolist()[:1]
        paths.append(float(np.array(event["dx"])[track].sum()))
        assert ranges[-1] < paths[-1] < 1.2 * ranges[-1]
        assert event["table"]["pdg"][event["table"]["is_primary"].index(1)] == -13
    assert 764 < np.mean(paths) < 1.08 * 764  # with the path of the delta rays that belong to it
    assert 0.95 * 764 < np.mean(ranges) < 764
    assert 300 < np.mean(decays) < 6600  # a lifetime of 2,197 ns; the mean of twelve, within three deviations
    assert sum("Michel" in event["classes"] for event in events) >= 10


def test_electromagnetic_physics_alone(tables: str, tmp_path: Path) -> None:
    reduced = tmp_path / "tables"
    reduced.mkdir()
    for name in ("EMLOW", "ENSDF"):
        (reduced / name).symlink_to(Path(tables) / name)
    bunch = {**MUON, "species": [{"particles": ["proton"], "kinetic_energy_mev": [400, 400]}]}
    result = simulate(list(range(6)), tables=str(reduced), physics="electromagnetic", bunches=[bunch], min_voxels=0)
    assert "FTFP_BERT" not in result["attributes"]["physics"]
    for event in result["events"]:  # no nucleus is hit: every proton stops, at 812 mm
        assert abs(event["energy"] - 400) < 1
        along = np.array(event["coords"])[:, 0]
        assert abs((along.max() - along.min()) * 3 - 812) < 40


def test_the_range_cut_is_the_one_asked_for(tables: str) -> None:
    bunch = {**MUON, "species": [{"particles": ["mu-"], "kinetic_energy_mev": [1000, 1000]}]}
    config = {"tables": tables, "bunches": [bunch], "min_voxels": 0, "physics": "electromagnetic"}
    fine = simulate([0, 1, 2], **config, range_cut_mm=0.1)["events"]
    coarse = simulate([0, 1, 2], **config, range_cut_mm=300.0)["events"]

    def deltas(events: list[dict[str, Any]]) -> int:
        return sum(event["classes"].count("delta") for event in events)

    assert deltas(fine) > 0
    assert deltas(coarse) == 0


def test_an_event_that_is_always_too_small_is_bad(tables: str) -> None:
    bunch = {**MUON, "species": [{"particles": ["e-"], "kinetic_energy_mev": [1, 1]}]}
    with pytest.raises(AssertionError, match="fewer than min_voxels = 200 voxels"):
        simulate([0], tables=tables, bunches=[bunch])

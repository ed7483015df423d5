"""Small truths made by hand: tracks one by one, their deposits as rows of voxels."""

from __future__ import annotations

import numpy as np

from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.simulate.labelling import Deposits, LabelRules, Process, Tracks, labelled_event

SIZE = (64, 64, 64)
PROTON, MUON, PION, ELECTRON, PHOTON, NEUTRON, PI0, DEUTERON = 2212, 13, 211, 11, 22, 2112, 111, 1000010020
CHARGE = {MUON: -1, ELECTRON: -1, PHOTON: 0, NEUTRON: 0, PI0: 0}


class Truth:
    """Collects tracks and deposits; voxels are (N, 3) arrays."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, float, int]] = []
        self.starts: list[tuple[float, ...]] = []
        self.steps: list[tuple[tuple[int, ...], float, int]] = []

    def track(self, pdg: int, voxels: object = (), *, parent: int = -1, process: Process = Process.PRIMARY,
              energy: float = 100.0, interaction: int = 0, mev: float = 1.0, start: object = None) -> int:  # fmt: skip
        row = len(self.rows)
        self.rows.append((parent, pdg, int(process), energy, interaction if parent < 0 else -1))
        cells = [tuple(int(i) for i in cell) for cell in np.array(voxels, dtype=int).reshape(-1, 3)]
        begin = start if start is not None else (cells[0] if cells else (0, 0, 0))
        self.starts.append(tuple(float(i) + 0.5 for i in np.array(begin)))
        self.steps += [(cell, mev, row) for cell in cells]
        return row

    def tracks(self) -> Tracks:
        parent, pdg, process, energy, interaction = np.array(self.rows, dtype=float).reshape(-1, 5).T
        return Tracks(
            track_id=np.arange(1, len(parent) + 1),
            parent=parent.astype(int),
            pdg=pdg.astype(int),
            charge=np.array([CHARGE.get(int(code), 1) for code in pdg], dtype=float),
            process=process.astype(int),
            kinetic_energy_mev=energy,
            mass_mev=np.full(len(parent), 100.0),
            start=np.array(self.starts, dtype=float).reshape(-1, 3),
            direction=np.tile([0.0, 0.0, 1.0], (len(parent), 1)),
            start_ns=np.arange(len(parent)) * 10.0,
            interaction=interaction.astype(int),
        )

    def deposits(self) -> Deposits:
        return Deposits(
            coords=np.array([cell for cell, _, _ in self.steps], dtype=int).reshape(-1, 3),
            energy_mev=np.array([mev for _, mev, _ in self.steps], dtype=float),
            dx_mm=np.full(len(self.steps), 2.0),
            time_ns=np.array([10.0 * row for _, _, row in self.steps], dtype=float),
            track=np.array([row for _, _, row in self.steps], dtype=int),
        )

    def event(self, rules: LabelRules | None = None) -> Event:
        return labelled_event(EventKey("made", 0), self.tracks(), self.deposits(), SIZE, rules or LabelRules())


def line(begin: tuple[int, int, int], step: tuple[int, int, int], count: int) -> np.ndarray:
    return np.array(begin) + np.arange(count)[:, None] * np.array(step)


def at(event: Event, voxel: tuple[int, int, int], label: str) -> int | str:
    row = int(np.flatnonzero((event.coords == voxel).all(axis=1))[0])
    value = int(event.labels[label][row])
    return event.classes[value] if label == "semantic" and value >= 0 else value

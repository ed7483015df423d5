"""Records the steps and tracks of one Geant4 event.

A call from Geant4 into Python costs half a microsecond and so does every getter, at 8,000 steps an event, so the step
callback asks for two things only: the deposit and where the step ends. Where it began is the end of the step before.
Of the photons and electrons inside a shower, which labels never look at one by one, only what places their deposits
is asked: process, energy and direction are left at OTHER and 0, and the start of photons at the corner.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lartpc_sparse.simulate.geant4.voxelise import split_steps
from lartpc_sparse.simulate.labelling import Deposits, Process, Tracks

__all__ = ["Recorder", "make_actions"]

_PROCESSES = {
    "muIoni": Process.IONISATION,
    "hIoni": Process.IONISATION,
    "ionIoni": Process.IONISATION,
    "eIoni": Process.IONISATION,
    "Decay": Process.DECAY,
    "muMinusCaptureAtRest": Process.MUON_CAPTURE,
}
_TRACK_COLUMNS = 14
_MM_PER_NS = 299.792458
_ELECTROMAGNETIC = frozenset((11, -11, 22))


class Recorder:
    """What Geant4 reports of one event; `begin` before it, `tracks` and `deposits` after it.

    Attributes:
        steps: energy deposit and end point of every recorded step, four numbers a step.
        segments: number of the track and first step of every stretch of steps.
        neutral: whether the track that Geant4 follows now has no charge.
        light: whether it is an electron, a positron or a photon.
    """

    def __init__(self) -> None:
        self.steps = array("d")
        self.segments: list[tuple[int, int]] = []
        self.neutral = self.light = False
        self._tracks = array("d")
        self._seen: set[int] = set()
        self._resumed: list[tuple[int, float, float, float]] = []
        self._electromagnetic: set[int] = set()
        self._definitions: dict[Any, tuple[int, float, float]] = {}
        self._processes: dict[Any, Process] = {None: Process.PRIMARY}

    def begin(self) -> None:
        """Forget the event before."""
        del self.steps[:]
        self.segments.clear()
        del self._tracks[:]
        self._seen.clear()
        self._resumed.clear()
        self._electromagnetic.clear()

    def start_track(self, track: Any) -> None:
        """Geant4 begins to follow a track, or goes on with one that it had put aside."""
        number = track.GetTrackID()
        definition = track.GetParticleDefinition()
        pdg, charge, mass = self._definitions.get(definition) or self._define(definition)
        self.neutral = charge == 0.0
        self.light = pdg in _ELECTROMAGNETIC
        if number in self._seen:
            position = track.GetPosition()
            self._resumed.append((len(self.segments), position.x, position.y, position.z))
        else:
            self._seen.add(number)
            self._tracks.extend(self._describe(track, number, pdg, charge, mass))
        self.segments.append((number, len(self.steps) // 4))

    def _describe(self, track: Any, number: int, pdg: int, charge: float, mass: float) -> tuple[float, ...]:
        parent, process, energy = track.GetParentID(), Process.OTHER, 0.0
        x = y = z = u = v = w = 0.0
        electromagnetic = pdg in _ELECTROMAGNETIC
        inner = electromagnetic and parent in self._electromagnetic
        if electromagnetic:
            self._electromagnetic.add(number)
        if not (inner and charge == 0.0):
            position = track.GetPosition()
            x, y, z = position.x, position.y, position.z
        if not inner:
            process, energy = self._process(track.GetCreatorProcess()), track.GetKineticEnergy()
            direction = track.GetMomentumDirection()
            u, v, w = direction.x, direction.y, direction.z
        time = track.GetGlobalTime()
        return number, parent, pdg, charge, process, energy, mass, x, y, z, u, v, w, time

    def _process(self, process: Any) -> Process:
        found = self._processes.get(process)
        if found is None:
            found = self._processes[process] = _PROCESSES.get(process.GetProcessName(), Process.OTHER)
        return found

    def _define(self, definition: Any) -> tuple[int, float, float]:
        found = definition.GetPDGEncoding(), definition.GetPDGCharge(), definition.GetPDGMass()
        self._definitions[definition] = found
        return found

    def tracks(self, corner_mm: Sequence[float], voxel_mm: float, interactions: Sequence[int]) -> Tracks:
        """The tracks of the event, parents first.

        Args:
            corner_mm: lowest corner of the volume in Geant4's frame.
            voxel_mm: edge of a voxel.
            interactions: vertex of every primary, in the order in which they were shot.
        """
        table = np.frombuffer(self._tracks, dtype=np.float64).reshape(-1, _TRACK_COLUMNS).copy()
        number, parent = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
        order = np.argsort(number, kind="stable")  # Geant4 numbers a child after its parent, but follows it later
        table, number, parent = table[order], number[order], parent[order]
        of_primary = np.append(np.array(interactions, dtype=np.int64), -1)  # primaries are numbered from 1
        return Tracks(
            track_id=number,
            parent=np.where(parent > 0, np.searchsorted(number, parent), -1),
            pdg=table[:, 2].astype(np.int64),
            charge=table[:, 3],
            process=table[:, 4].astype(np.int64),
            kinetic_energy_mev=table[:, 5],
            mass_mev=table[:, 6],
            start=(table[:, 7:10] - np.array(corner_mm)) / voxel_mm,
            direction=table[:, 10:13],
            start_ns=table[:, 13],
            interaction=np.where(parent > 0, -1, of_primary[np.minimum(number, len(of_primary)) - 1]),
        )

    def deposits(self, tracks: Tracks, corner_mm: Sequence[float], voxel_mm: float, size: Sequence[int]) -> Deposits:
        """The deposits of the event; the steps of charged particles are cut at the borders of the voxels.

        Their times are those of the beginning of the track and of its way from there at the speed of light, which is a
        nanosecond or two early for the end of a slow one; to ask Geant4 at every step would take longer.

        Args:
            tracks: of the same event.
            corner_mm: lowest corner of the volume in Geant4's frame.
            voxel_mm: edge of a voxel.
            size: voxels along each axis.
        """
        steps = np.frombuffer(self.steps, dtype=np.float64).reshape(-1, 4).copy()
        numbers, first = np.array(self.segments, dtype=np.int64).reshape(-1, 2).T
        stretch = np.repeat(np.arange(len(first)), np.diff(first, append=len(steps)))
        row = np.searchsorted(tracks.track_id, numbers)[stretch]
        end = (steps[:, 1:] - np.array(corner_mm)) / voxel_mm
        start = tracks.start[np.searchsorted(tracks.track_id, numbers)]
        for segment, *position in self._resumed:
            start[segment] = (np.array(position) - np.array(corner_mm)) / voxel_mm
        begin = np.roll(end, 1, axis=0)
        begins = np.diff(stretch, prepend=-1) != 0
        begin[begins] = start[stretch[begins]]
        begin = np.where(tracks.charge[row, None] != 0, begin, end)
        step, share, voxel = split_steps(begin, end)
        length_mm = np.linalg.norm(end - begin, axis=1) * voxel_mm
        way_mm = _before(row, np.where(tracks.charge[row] != 0, length_mm, 0.0))
        return Deposits(
            coords=np.clip(voxel, 0, np.array(size) - 1),
            energy_mev=steps[step, 0] * share,
            dx_mm=length_mm[step] * share,
            time_ns=(tracks.start_ns[row] + way_mm / _MM_PER_NS)[step],
            track=row[step],
        )


def _before(row: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Of each step, the length of all steps of its track before it."""
    order = np.argsort(row, kind="stable")
    behind = np.cumsum(length[order]) - length[order]
    begins = np.diff(row[order], prepend=-1) != 0
    first = np.maximum.accumulate(np.where(begins, np.arange(len(row)), 0))
    found = np.empty(len(row))
    found[order] = behind - behind[first]
    return found


def make_actions(geant4: Any, recorder: Recorder, limit_step: Callable[[bool], None]) -> tuple[Any, Any]:
    """Geant4's tracking and stepping actions that feed the recorder.

    Args:
        geant4: the module.
        recorder: to feed.
        limit_step: called when the next steps are of a light particle (True) after those of a heavy one, or the other
            way round: Geant4 has one step limit a volume, and follows one track at a time.
    """
    append = recorder.steps.extend
    getters: list[Any] = []

    class Tracking(geant4.G4UserTrackingAction):  # type: ignore[misc]
        light = None

        def PreUserTrackingAction(self, track: Any) -> None:  # noqa: N802  Geant4's name
            recorder.start_track(track)
            if recorder.light is not self.light:
                self.light = recorder.light
                limit_step(recorder.light)

    class Stepping(geant4.G4UserSteppingAction):  # type: ignore[misc]
        def UserSteppingAction(self, step: Any) -> None:  # noqa: N802  Geant4's name
            if not getters:  # a run manager has one step and reuses it, so its getters are looked up once
                getters.extend((step.GetTotalEnergyDeposit, step.GetPostStepPoint().GetPosition))
            energy = getters[0]()
            if energy == 0.0 and recorder.neutral:
                return
            end = getters[1]()
            append((energy, end.x, end.y, end.z))

    return Tracking(), Stepping()

"""Geant4's run manager for a box of liquid argon: geometry, physics, and one event at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lartpc_sparse.simulate.geant4.config import Geant4Config
from lartpc_sparse.simulate.geant4.generator import Primary
from lartpc_sparse.simulate.geant4.recorder import Recorder, make_actions

__all__ = ["RunManager"]

_ELECTROMAGNETIC = ("G4EmStandardPhysics", "G4DecayPhysics")
_HADRONIC = ("G4HadronElasticPhysics", "G4HadronPhysicsFTFP_BERT", "G4StoppingPhysics", "G4NeutronTrackingCut")


class RunManager:
    """The one run manager of a process; it is never taken down, because Geant4 cannot start a second one.

    Args:
        geant4: the module.
        config: volume and physics.
        recorder: gets the steps of every event.
    """

    def __init__(self, geant4: Any, config: Geant4Config, recorder: Recorder) -> None:
        self._geant4, self._recorder = geant4, recorder
        self._corner = [-side / 2 for side in config.size_mm]
        self._primaries: Sequence[Primary] = ()
        with _quiet():
            self._manager = geant4.G4RunManager()
            self._manager.SetVerboseLevel(0)
            self._limits = geant4.G4UserLimits(config.step_limit_mm)
            self._kept = [self._detector(config), self._physics(config)]  # Geant4 keeps plain pointers to these
            for part in self._kept:
                self._manager.SetUserInitialization(part)
            # SetDefaultCutValue of the physics list would do it too, and crash when the process ends.
            geant4.G4UImanager.GetUIpointer().ApplyCommand(f"/run/setCut {config.range_cut_mm} mm")
            limit = {True: config.step_limit_mm, False: config.heavy_step_limit_mm}
            # Geant4 wants these made after the physics is set.
            actions = [
                self._gun(),
                *make_actions(geant4, recorder, lambda light: self._limits.SetMaxAllowedStep(limit[light])),
            ]
            for action in actions:
                self._manager.SetUserAction(action)
            self._kept += actions
            self._manager.Initialize()
            self._manager.BeamOn(0)  # builds the physics tables

    @property
    def version(self) -> str:
        """Version of Geant4, as `11.4.1`."""
        number = int(self._geant4.G4VERSION_NUMBER)
        return f"{number // 100}.{number // 10 % 10}.{number % 10}"

    def run(self, primaries: Sequence[Primary], seeds: tuple[int, int]) -> None:
        """Simulate one event into the recorder; the same primaries and seeds give the same steps."""
        self._primaries = primaries
        self._recorder.begin()
        self._geant4.HepRandom.setTheSeeds([*seeds, 0], 0)
        self._manager.BeamOn(1)

    def _detector(self, config: Geant4Config) -> Any:
        geant4 = self._geant4

        class Box(geant4.G4VUserDetectorConstruction):  # type: ignore[misc, name-defined]
            limits = self._limits

            def Construct(self) -> Any:  # noqa: N802  Geant4's name
                material = geant4.G4NistManager.Instance().FindOrBuildMaterial("G4_lAr")
                self.solid = geant4.G4Box("argon", *(side / 2 for side in config.size_mm))
                self.logical = geant4.G4LogicalVolume(self.solid, material, "argon")
                self.logical.SetUserLimits(self.limits)
                self.placed = geant4.G4PVPlacement(
                    None, geant4.G4ThreeVector(), self.logical, "argon", None, False, 0, False
                )
                return self.placed

        return Box()

    def _physics(self, config: Geant4Config) -> Any:
        physics = self._geant4.G4VModularPhysicsList()
        physics.SetVerboseLevel(0)
        self._geant4.G4EmParameters.Instance().SetVerbose(0)
        self._geant4.G4HadronicParameters.Instance().SetVerboseLevel(0)
        for name in (*_ELECTROMAGNETIC, *(_HADRONIC if config.physics == "full" else ()), "G4StepLimiterPhysics"):
            physics.RegisterPhysics(getattr(self._geant4, name)())
        # Electrons of photons that do not reach `range_cut_mm` deposit where they are made, as those of other
        # processes do: a third of all tracks, none of which leaves its voxel. The lists above would reset it.
        self._geant4.G4EmParameters.Instance().SetApplyCuts(True)
        return physics

    def _gun(self) -> Any:
        geant4, manager = self._geant4, self

        class Gun(geant4.G4VUserPrimaryGeneratorAction):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.gun = geant4.G4ParticleGun(1)
                self.table = geant4.G4ParticleTable.GetParticleTable()

            def GeneratePrimaries(self, event: Any) -> None:  # noqa: N802  Geant4's name
                for primary in manager._primaries:
                    position = [p + c for p, c in zip(primary.position_mm, manager._corner, strict=True)]
                    self.gun.SetParticleDefinition(self.table.FindParticle(primary.name))
                    self.gun.SetParticleEnergy(primary.kinetic_energy_mev)
                    self.gun.SetParticleMomentumDirection(geant4.G4ThreeVector(*primary.direction))
                    self.gun.SetParticlePosition(geant4.G4ThreeVector(*position))
                    self.gun.GeneratePrimaryVertex(event)

        return Gun()


@contextmanager
def _quiet() -> Iterator[None]:
    """Geant4 prints hundreds of lines while it starts, straight to the process's standard output: not shown.

    Its errors go to standard error and are.
    """
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)

"""The Geant4 source of simulated events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lartpc_sparse.data.classes import SIX
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.schema import BadEventError, UserError
from lartpc_sparse.simulate.base import Stream
from lartpc_sparse.simulate.geant4.config import Geant4Config
from lartpc_sparse.simulate.geant4.generator import draw_primaries
from lartpc_sparse.simulate.geant4.package import load_geant4, package_version
from lartpc_sparse.simulate.geant4.recorder import Recorder
from lartpc_sparse.simulate.geant4.run_manager import RunManager
from lartpc_sparse.simulate.geant4.tables import Tables, find_tables
from lartpc_sparse.simulate.labelling import labelled_event

__all__ = ["STREAM", "Geant4Source"]

STREAM = "events"
MAX_DRAWS = 200
"""Draws of one event before it is given up for having too few voxels."""

_PHYSICS = {
    "full": "electromagnetic standard, decay, FTFP_BERT, elastic, stopping, neutron tracking cut",
    "electromagnetic": "electromagnetic standard, decay",
}


class Geant4Source:
    """Multi-particle events in liquid argon with the truth of every voxel.

    Args:
        config: what to simulate.

    Raises:
        UserError: see `Geant4Config.build`.
    """

    def __init__(self, config: Geant4Config) -> None:
        self._config = config
        draw_primaries(config.bunches, config.size_mm, np.random.default_rng(0))  # refuses regions outside now
        self._tables, self._recorder, self._manager = _start(config)

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The one stream `events`."""
        config, tables = self._config, self._tables
        version = f"Geant4 {self._manager.version} through geant4-pybind {package_version()}"
        return {
            STREAM: Stream(
                image_size=config.image_size,
                classes=SIX,
                voxel_size_mm=config.voxel_mm,
                origin=f"{version}, liquid argon, {_PHYSICS[config.physics]}",
                attributes={
                    "simulator": version,
                    "physics": _PHYSICS[config.physics],
                    "physics_tables": tables.describe(),
                    "physics_substitutes": "; ".join(tables.substitutes) or "none found",
                    "range_cut_mm": config.range_cut_mm,
                    "step_limit_mm": config.step_limit_mm,
                    "heavy_step_limit_mm": config.heavy_step_limit_mm,
                    "threshold_mev": config.labels.min_mev,
                },
            )
        }

    def make(self, seed: int, index: int) -> Mapping[str, Event]:
        """Event `index`; drawn again, from the same seed and index, while it has fewer than `min_voxels`.

        Raises:
            BadEventError: it has too few voxels however often it is drawn.
        """
        config, key = self._config, EventKey(STREAM, index)
        corner = [-side / 2 for side in config.size_mm]
        for draw in range(MAX_DRAWS):
            rng = np.random.default_rng([seed, index, draw])
            primaries = draw_primaries(config.bunches, config.size_mm, rng)
            first, second = rng.integers(1, 2**31 - 1, size=2)
            self._manager.run(primaries, (int(first), int(second)))
            interactions = [primary.interaction for primary in primaries]
            tracks = self._recorder.tracks(corner, config.voxel_mm, interactions)
            deposits = self._recorder.deposits(tracks, corner, config.voxel_mm, config.image_size)
            event = labelled_event(key, tracks, deposits, config.image_size, config.labels)
            if len(event) >= config.min_voxels:
                return {STREAM: event}
        raise BadEventError(
            f"{key}: fewer than min_voxels = {config.min_voxels} voxels in each of {MAX_DRAWS} draws; lower "
            "min_voxels, or shoot more or faster particles"
        )


_started: dict[Geant4Config, tuple[Tables, Recorder, RunManager]] = {}
"""Geant4 is a singleton of the process, whatever holds it here; this remembers with what it was started."""


def _start(config: Geant4Config) -> tuple[Tables, Recorder, RunManager]:
    setup = config.model_copy(update={"bunches": (), "labels": None, "min_voxels": 0})  # what Geant4 is started with
    if setup not in _started:
        if _started:
            raise UserError(
                "this process has started Geant4 with another volume, physics or tables, and Geant4 cannot be started "
                "twice; use another process"
            )
        tables = find_tables(config.tables, hadronic=config.physics == "full")
        recorder = Recorder()
        _started[setup] = (tables, recorder, RunManager(load_geant4(tables), config, recorder))
    return _started[setup]

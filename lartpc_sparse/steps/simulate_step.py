"""Step `simulate`: events from a source into files of the project's own format."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the Blosc filter with HDF5

from lartpc_sparse.config import ChainConfig
from lartpc_sparse.progress import Progress, track
from lartpc_sparse.provenance import provenance
from lartpc_sparse.simulate.parts import PartPlan, clear_unfinished, finished_parts
from lartpc_sparse.simulate.workers import simulate_parts
from lartpc_sparse.steps.run_folder import RunFolder, write_json, write_text

__all__ = ["run_simulation"]

logger = logging.getLogger("lartpc_sparse")


def run_simulation(config: ChainConfig, folder: RunFolder, config_yaml: str, *, repeat: bool = False) -> dict[str, Any]:
    """Make the events that are not there yet; returns the summary that it writes.

    Finished parts of the same simulation are kept, also when more events are wanted than before. Files of another
    simulation are put aside with their folder. The events do not depend on the number of processes, nor on
    interruptions.

    Args:
        config: the chain.
        folder: of the run.
        config_yaml: the resolved configuration, written beside the events.
        repeat: make all events again.

    Raises:
        UserError: no event can be made, or one cannot and `on_bad_event` is fail.
    """
    assert config.simulate is not None
    section = config.simulate
    plan = PartPlan(
        folder=folder.simulation,
        source=section.source,
        seed=config.simulation_seed,
        events=section.events,
        events_per_file=section.events_per_file,
        skip_bad=section.on_bad_event == "skip",
        inputs=tuple(_identity(Path(name)) for name in section.source.files()),
    )
    done, in_the_way = finished_parts(plan)
    if in_the_way or (repeat and done):
        _put_aside(plan.folder)
        done = []
    plan.folder.mkdir(parents=True, exist_ok=True)
    clear_unfinished(plan.folder)
    folder.simulation_summary.unlink(missing_ok=True)
    write_text(plan.folder / "config.yaml", config_yaml)
    missing = [part for part in plan.parts if part not in done]
    start = sum(part.stop - part.first for part in done)
    with track("simulate", total=section.events, start=start) as bar:
        counter = _Counter(bar)
        simulate_parts(plan, missing, _processes(section.processes), counter.add)
    return _summarise(plan, folder.simulation_summary)


def _identity(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


class _Counter:
    """Feeds the progress bar, with the bad events when there are any."""

    def __init__(self, bar: Progress) -> None:
        self._bar, self._bad = bar, 0

    def add(self, events: int, bad: int) -> None:
        self._bad += bad
        numbers = {"bad": self._bad} if self._bad else {}
        self._bar.advance(events, **numbers)


def _processes(wanted: int | str) -> int:
    return len(os.sched_getaffinity(0)) if isinstance(wanted, str) else wanted


def _put_aside(folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}-until-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    folder.rename(aside)
    logger.warning("%s held other simulated events; they are now in %s", folder, aside)


def _summarise(plan: PartPlan, path: Path) -> dict[str, Any]:
    """Counts over all files; the bad events of a part are those of any of its streams' files."""
    voxels: dict[str, int] = {}
    bad = 0
    files = sorted(plan.folder.glob("*_[0-9][0-9][0-9][0-9][0-9].h5"))
    for file in files:
        stream = file.stem.rpartition("_")[0]
        with h5py.File(file, "r", locking=False) as opened:
            voxels[stream] = voxels.get(stream, 0) + (len(opened["coords"]) if "coords" in opened else 0)
            bad += int(opened.attrs["bad_events"])
    bad //= max(len(voxels), 1)
    if bad:
        logger.warning("%d of %d events could not be made and are empty", bad, plan.events)
    summary = {
        **provenance(),
        "source": plan.source.kind,
        "seed": plan.seed,
        "events": plan.events,
        "bad_events": bad,
        "voxels": voxels,
        "files": [file.name for file in files],
    }
    write_json(path, summary)
    return summary

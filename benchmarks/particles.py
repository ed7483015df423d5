"""What the rules that make particles reach on events with true clusters and classes, and how long they take.

    python -m benchmarks.particles FILE [--first N] [--events N] [--set showers.angle_deg=15 ...]

FILE is an HDF5 file of flat columns (docs/data.md) with `group` and `interaction`, such as `train_flat.h5`.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import h5py
import numpy as np

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction import Prediction
from lartpc_sparse.data.readers.columns import ColumnsConfig, ParticleColumnsConfig
from lartpc_sparse.data.true_particles import TRUE_PARTICLES, true_particles
from lartpc_sparse.heads.class_groups import TRACK_SHOWER_GROUPS, regroup
from lartpc_sparse.heads.particles import GeometricParticlesConfig, with_particles
from lartpc_sparse.heads.particles.evaluator import ParticleScores

_EXTRA = ("mass_mev", "momentum_gev", "vertex_x", "vertex_y", "vertex_z")
_TABLE = {"cluster": ("n_points", "fragment", "group", "interaction", "semantic", "pid"), "cluster_extra": _EXTRA}
_HEAD, _ENDING = "true", "_true_semantics"


def main() -> None:
    """Print the metrics as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--first", type=int, default=0, help="first event")
    parser.add_argument("--events", type=int, default=200, help="number of events")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="options of kind geometric")
    given = parser.parse_args()
    with h5py.File(given.file) as file:
        tables = {name: columns for name, columns in _TABLE.items() if name in file}
    if not tables:
        parser.error(f"{given.file} has none of the particle columns {', '.join(_TABLE)}")
    reader = ColumnsConfig(
        files=(given.file,), particles=ParticleColumnsConfig(offsets="cluster_offsets", columns=tables)
    ).build()
    config = GeometricParticlesConfig.model_validate(_nested(given.set))
    scores = ParticleScores(_HEAD, _ENDING, TRACK_SHOWER_GROUPS, reader.classes)
    voxels, seconds = [], []
    for index in range(given.first, min(given.first + given.events, len(reader))):
        event = reader.read(index)
        kind = regroup(event.labels["semantic"], event.classes, TRACK_SHOWER_GROUPS)
        truth = {name: event.labels[name] for name in ("semantic", "instance", "group", "interaction", "pid")}
        prediction = Prediction(
            key=EventKey(given.file, index),
            coords=event.coords,
            energy=event.energy,
            truth=truth,
            columns={
                f"{_HEAD}/cluster{_ENDING}": np.where(kind >= 0, truth["instance"], -1),
                f"{_HEAD}/cluster_class{_ENDING}": kind.astype(np.int8),
            },
            tables={TRUE_PARTICLES: true_particles(event)},
        )
        begin = time.process_time()
        found = with_particles(prediction, _HEAD, tuple(TRACK_SHOWER_GROUPS), config)
        seconds.append(time.process_time() - begin)
        voxels.append(len(event))
        scores.update(found)
    large = np.array(voxels) >= 5000
    per_voxel = np.array(seconds)[large].sum() / max(np.array(voxels)[large].sum(), 1)
    print(
        json.dumps(scores.result() | {"ms_per_10k_voxels": 1e7 * per_voxel, "large_events": int(large.sum())}, indent=1)
    )


def _nested(pairs: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for pair in pairs:
        path, _, value = pair.partition("=")
        *sections, name = path.split(".")
        inner = result
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = json.loads(value)
    return result


if __name__ == "__main__":
    main()

"""Particles as columns and tables of a prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from lartpc_sparse.data.prediction import OK, Prediction
from lartpc_sparse.heads.particles.config import ParticlesConfig

__all__ = ["SOURCES", "class_columns", "with_particles"]

SOURCES: Mapping[str, str] = {"cluster": "", "cluster_true_semantics": "_true_semantics"}
"""Columns with clusters, and what the names of everything made of them end with."""


def class_columns(column: str, classes: np.ndarray, config: ParticlesConfig | None) -> dict[str, np.ndarray]:
    """The classes that the clusters `column` were found with, as a column; nothing without particles.

    Args:
        column: `cluster` or `cluster_true_semantics`.
        classes: number of the head's class of each voxel, -1 none.
        config: None: there are no particles.
    """
    return {} if config is None else {f"cluster_class{SOURCES[column]}": classes.astype(np.int8)}


def with_particles(
    prediction: Prediction, name: str, classes: Sequence[str], config: ParticlesConfig | None
) -> Prediction:
    """The prediction with the particles made of the clusters of the head `name`.

    Column `<name>/particle` (int32: row of the event's particle table, -1 none), table `<name>.particles`, see
    `ParticleTable`. For clusters with true semantics both names end with `_true_semantics`. A skipped event has none.
    """
    if config is None:
        return prediction
    columns, tables = dict(prediction.columns), dict(prediction.tables)
    for column, ending in SOURCES.items():
        if f"{name}/{column}" not in columns:
            continue
        cluster = columns[f"{name}/{column}"].astype(np.int64)
        if prediction.status != OK:  # it was not in the network, whatever its columns say
            cluster = np.full_like(cluster, -1)
        kinds = columns[f"{name}/cluster_class{ending}"]
        found = config.find(prediction.coords, prediction.energy, cluster, kinds, classes)
        columns[f"{name}/particle{ending}"] = found.of_voxel.astype(np.int32)
        tables[f"{name}.particles{ending}"] = found.table.columns()
    return dataclasses.replace(prediction, columns=columns, tables=tables)

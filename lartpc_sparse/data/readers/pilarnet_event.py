"""From the flat arrays of one PILArNet-M event to an `Event`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.classes import PILARNET, split_tracks
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.base import check_energy, whole_coords
from lartpc_sparse.data.readers.pilarnet_layout import INTERACTION_WIDTH, POINT_WIDTH, Layout, Tables, problem
from lartpc_sparse.schema import BadEventError

__all__ = ["PointLabel", "decode"]

PointLabel = Literal["deposit", "time", "electrons", "dx"]
"""Columns of the points behind the voxel value."""

_POINT_COLUMN: dict[PointLabel, int] = {"deposit": 4, "time": 5, "electrons": 6, "dx": 7}

_LOW_ENERGY = PILARNET.index("low_energy")


def decode(
    tables: Tables, layout: Layout, key: EventKey, image_size: tuple[int, ...], point_labels: Sequence[PointLabel] = ()
) -> Event:
    """An event from its flat arrays.

    `labels`: `semantic` (the six classes when clusters have a pid, else PILArNet's five), `instance` (the fragment,
    -1 for low energy), `fragment`, `group`, `interaction`, and `pid` when there is one. `particles`: one row a
    cluster; its `semantic` follows the same classes. `energy` is the voxel value in MeV. Voxels that occur twice are
    kept; the transform `merge_duplicates` joins them. `point_labels` names further columns of the points that become
    labels: `deposit` (MeV), `time` (ns), `electrons` and `dx` (mm).

    Raises:
        BadEventError: arrays that do not fit together, coordinates that are not whole or outside the image,
            energies that are not finite, cluster columns that are not whole.
    """
    trouble = problem(tables, layout)
    if trouble:
        raise BadEventError(f"{key}: {trouble} (layout {layout.version})")
    point = tables["point"].reshape(-1, POINT_WIDTH)
    coords = whole_coords(key, point[:, :3], image_size)
    energy = point[:, 3].astype(np.float32)
    check_energy(key, energy)
    clusters = dict(
        zip(layout.cluster, tables["cluster"].reshape(-1, len(layout.cluster)).astype(np.int64).T, strict=True)
    )
    low_energy = clusters["semantic"] == _LOW_ENERGY
    classes: tuple[str, ...] = PILARNET
    if layout.has_pid:
        clusters["semantic"], classes = split_tracks(clusters["semantic"], clusters["pid"])
    columns = {
        "semantic": clusters["semantic"],
        "instance": np.where(low_energy, -1, clusters["fragment"]),
        **{name: clusters[name] for name in layout.cluster if name not in ("n_points", "semantic")},
    }
    return Event(
        key=key,
        coords=coords,
        energy=energy,
        image_size=image_size,
        classes=classes,
        labels={
            **{name: np.repeat(column, clusters["n_points"]) for name, column in columns.items()},
            **{name: point[:, _POINT_COLUMN[name]].astype(np.float32) for name in point_labels},
        },
        particles={**clusters, **_extra_columns(tables, layout, clusters["interaction"])},
    )


def _extra_columns(tables: Tables, layout: Layout, interaction: Int64[np.ndarray, " P"]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    for name, names in (("cluster_extra", layout.extra), ("cluster_extra_2", layout.extra_2)):
        if name in tables:
            rows = tables[name].reshape(len(interaction), len(names))
            columns.update({column: rows[:, i].copy() for i, column in enumerate(names)})
    if "interaction_extra" in tables:
        rows = tables["interaction_extra"].reshape(-1, INTERACTION_WIDTH)
        columns.update(_interaction_vertices(rows, interaction))
    return columns


def _interaction_vertices(rows: np.ndarray, interaction: Int64[np.ndarray, " P"]) -> dict[str, np.ndarray]:
    """Vertex of each cluster's interaction; NaN when it has none."""
    vertices = np.full((len(interaction), 3), np.nan, dtype=np.float32)
    cluster, row = np.nonzero((interaction[:, None] == rows[None, :, 0]) & (interaction >= 0)[:, None])
    vertices[cluster] = rows[row, 1:]
    return {f"interaction_{axis}": vertices[:, i] for i, axis in enumerate("xyz")}

"""Which version of the PILArNet-M layout a file has, recovered from the widths of its rows.

A file holds one flat array per event and data set; the row width is not stored. A width is accepted only when
the rows make sense: for one event two widths may divide by chance, so several events vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import h5py
import numpy as np

from lartpc_sparse.data.readers.files import DAMAGE, damage_named
from lartpc_sparse.data.readers.vlen_table import VlenTable
from lartpc_sparse.schema import UserError

__all__ = [
    "LAYOUTS",
    "POINT_WIDTH",
    "TABLES",
    "Layout",
    "Tables",
    "Version",
    "count_events",
    "open_tables",
    "problem",
    "read_tables",
    "recover_layout",
]

Tables = Mapping[str, np.ndarray]
"""The flat arrays of one event, by data set."""

TABLES = ("point", "cluster", "cluster_extra", "cluster_extra_2", "interaction_extra")
"""The data sets of a file; the first two are always there."""

Version = Literal["auto", "v1", "v2", "v3"]
"""Version wanted; `auto`: whatever the file has."""

POINT_WIDTH = 8
INTERACTION_WIDTH = 4
NUM_SEMANTIC = 5
_LARGEST = 2.0**31
_CLUSTER = ("n_points", "fragment", "group", "interaction", "semantic", "pid")
_EXTRA = ("mass_mev", "momentum_gev", "vertex_x", "vertex_y", "vertex_z", "is_primary")
_EXTRA_2 = ("px_gev", "py_gev", "pz_gev", "parent_pdg", "parent_track_id")


@dataclass(frozen=True)
class Layout:
    """Columns of the cluster tables; no `extra` columns: the data set `cluster_extra` is absent."""

    version: Literal["v1", "v2", "v3"]
    cluster: tuple[str, ...]
    extra: tuple[str, ...] = ()
    extra_2: tuple[str, ...] = _EXTRA_2

    @property
    def has_pid(self) -> bool:
        """Whether clusters have a particle type."""
        return "pid" in self.cluster


LAYOUTS = (
    Layout("v1", _CLUSTER[:5]),
    Layout("v2", _CLUSTER),
    Layout("v2", _CLUSTER, _EXTRA[:5]),
    Layout("v3", _CLUSTER, _EXTRA),
    Layout("v3", _CLUSTER, (*_EXTRA, *_EXTRA_2[:3])),  # the v3 extras packed into one data set
    Layout("v3", _CLUSTER, (*_EXTRA, *_EXTRA_2)),
)


def problem(tables: Tables, layout: Layout) -> str | None:
    """Why the arrays of one event cannot have this layout; None when they can."""
    for name, width in (("point", POINT_WIDTH), ("cluster", len(layout.cluster))):
        if len(tables[name]) % width:
            return f"{name} has {len(tables[name])} values, not rows of {width}"
    clusters = tables["cluster"].reshape(-1, len(layout.cluster))
    if not (np.abs(clusters) < _LARGEST).all() or (clusters != np.rint(clusters)).any():  # NaN is not < either
        return f"cluster holds values that are not whole numbers below {_LARGEST:.0f}"
    n_points, semantic = clusters[:, 0], clusters[:, 4]
    if (n_points < 0).any():
        return f"cluster has a negative n_points {n_points.min():.0f}"
    if ((semantic < 0) | (semantic >= NUM_SEMANTIC)).any():
        return f"cluster has semantic codes {semantic.min():.0f}..{semantic.max():.0f}, expected 0..4"
    num_points = len(tables["point"]) // POINT_WIDTH
    if n_points.sum(dtype=np.float64) != num_points:
        return f"the clusters hold {n_points.sum(dtype=np.float64):.0f} points, the event has {num_points}"
    return _extra_problem(tables, layout, len(clusters))


def _extra_problem(tables: Tables, layout: Layout, num_clusters: int) -> str | None:
    columns = {"cluster_extra": layout.extra, "cluster_extra_2": layout.extra_2}
    for name, wanted in columns.items():
        if name in tables and len(tables[name]) != num_clusters * len(wanted):
            return f"{name} has {len(tables[name])} values, not {num_clusters} rows of {len(wanted)}"
    if "cluster_extra" not in tables and layout.extra:
        return "cluster_extra is absent"
    if len(tables.get("interaction_extra", ())) % INTERACTION_WIDTH:
        return f"interaction_extra has {len(tables['interaction_extra'])} values, not rows of {INTERACTION_WIDTH}"
    return None


def count_events(file: h5py.File, path: str) -> int:
    """Number of events, without looking further.

    Raises:
        UserError: `point` or `cluster` is missing.
    """
    with damage_named(path, "the layout"):
        missing = [name for name in TABLES[:2] if name not in file]
        if missing:
            raise UserError(
                f"{path} has no data set {missing}, so it is not PILArNet-M; it has {sorted(file)}: choose the `kind` "
                "of reader that fits the file"
            )
        return len(file["point"])


def open_tables(file: h5py.File, path: str) -> dict[str, VlenTable]:
    """The data sets of a file, checked without reading them.

    Raises:
        UserError: a data set is missing, has no variable-length rows of numbers, or another number of events.
    """
    count_events(file, path)
    tables = {}
    for name in TABLES:
        with damage_named(path, name):
            if name in file:
                tables[name] = VlenTable(file[name])
    lengths = {name: len(table) for name, table in tables.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"{path}: data sets of different numbers of events {lengths}; copy or make the file again")
    return tables


def read_tables(tables: Mapping[str, VlenTable], entry: int) -> Tables:
    """The flat arrays of one event."""
    return {name: table[entry] for name, table in tables.items()}


def recover_layout(
    tables: Mapping[str, VlenTable], path: str, version: Version = "auto", num_sampled: int = 16
) -> Layout | None:
    """The layout of a file, or None when all of its events are empty, so that any would do.

    Events spread evenly over the file vote; a layout must explain more than half of those that are not empty, and
    more of them than any other.

    Raises:
        UserError: no layout explains the file, or two explain it equally well.
    """
    events = _sample(tables, path, num_sampled)
    if not events:
        return None
    layouts = [
        layout
        for layout in LAYOUTS
        if version in ("auto", layout.version) and bool(layout.extra) == ("cluster_extra" in tables)
    ]
    votes = [sum(event is not None and problem(event, layout) is None for event in events) for layout in layouts]
    best = max(votes, default=0)
    if best * 2 <= len(events):
        against = sorted({f"{layout.version}: {_first_problem(events, layout)}" for layout in layouts})
        raise UserError(
            f"{path} does not have the PILArNet-M layout{'' if version == 'auto' else ' ' + version} in most of "
            f"{len(events)} events looked at: "
            + ("; ".join(against) or f"`cluster_extra` is {'' if 'cluster_extra' in tables else 'not '}there")
        )
    if votes.count(best) > 1:
        rivals = sorted({layout.version for layout, count in zip(layouts, votes, strict=True) if count == best})
        raise UserError(f"{path}: {len(events)} events fit {' and '.join(rivals)}; give the reader `version`")
    return layouts[votes.index(best)]


def _sample(tables: Mapping[str, VlenTable], path: str, count: int) -> list[Tables | None]:
    """Up to `count` events that are not empty; None for one that cannot be read."""
    num_events = len(tables["point"])
    spread = sorted({round(entry) for entry in np.linspace(0, num_events - 1, count)}) if num_events else []
    events = [_try_read(tables, entry) for entry in spread]
    if all(event is not None and _is_empty(event) for event in events):
        with damage_named(path, "cluster"):  # rare: look at all events for some that are not empty
            filled = [i for i in range(num_events) if len(tables["cluster"][i]) or len(tables["point"][i])]
        events = [_try_read(tables, entry) for entry in filled[:count]]
    return [event for event in events if event is None or not _is_empty(event)]


def _try_read(tables: Mapping[str, VlenTable], entry: int) -> Tables | None:
    try:
        return read_tables(tables, entry)
    except DAMAGE:
        return None


def _is_empty(event: Tables) -> bool:
    return not len(event["point"]) and not len(event["cluster"])


def _first_problem(events: Sequence[Tables | None], layout: Layout) -> str:
    found = ("data that cannot be read" if event is None else problem(event, layout) for event in events)
    return next((text for text in found if text), "")

"""What is counted in PILArNet-M files before events are read: events, points, the layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.files import damage_named, open_hdf5
from lartpc_sparse.data.readers.pilarnet_layout import (
    LAYOUTS,
    POINT_WIDTH,
    Version,
    count_events,
    open_tables,
    recover_layout,
)
from lartpc_sparse.data.readers.vlen_table import VlenTable
from lartpc_sparse.schema import UserError

__all__ = ["PilarnetFile", "side_counts", "side_file", "visit_clusters", "visit_layout", "visit_points"]

_COUNT_AT_ONCE = 1024


class PilarnetFile:
    """One open file with its data sets."""

    def __init__(self, path: str) -> None:
        self._file = open_hdf5(path)
        self.tables = open_tables(self._file, path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def visit_points(path: str) -> FileCount:
    """Number of events, and of points where their lengths are stored uncompressed."""
    with open_hdf5(path) as file:
        num_events = count_events(file, path)
        with damage_named(path, "point"):
            lengths = VlenTable(file["point"]).lengths
    return FileCount(num_events, None if lengths is None else lengths // POINT_WIDTH)


def visit_layout(path: str, version: Version) -> FileCount:
    """Place of the layout in LAYOUTS; null when all events are empty."""
    file = PilarnetFile(path)
    try:
        layout = recover_layout(file.tables, path, version)
        num_events = len(file.tables["point"])
    finally:
        file.close()
    return FileCount(num_events, facts=json.dumps(None if layout is None else LAYOUTS.index(layout)))


def visit_clusters(path: str, version: Version) -> FileCount:
    """Points of every event from the cluster tables, which are read for that."""
    file = PilarnetFile(path)
    try:
        layout = recover_layout(file.tables, path, version)
        table, counts = file.tables["cluster"], [np.zeros(0, dtype=np.int64)]
        width = 1 if layout is None else len(layout.cluster)  # without a layout all events are empty
        with damage_named(path, "cluster"):
            for start in range(0, len(table), _COUNT_AT_ONCE):
                block = table[start : start + _COUNT_AT_ONCE]
                counts.append(np.array([clusters[::width].sum() for clusters in block], dtype=np.int64))
    finally:
        file.close()
    return FileCount(len(table), np.concatenate(counts))


def side_file(path: str) -> Path | None:
    """The file with the numbers of points beside a file, if there is one."""
    side = Path(path).with_name(Path(path).stem + "_points.npy")
    return side if side.is_file() else None


def side_counts(side: Path, path: str, num_events: int) -> Int64[np.ndarray, " E"]:
    """Points of every event as the side file has them.

    Raises:
        UserError: it does not belong to the file.
    """
    with damage_named(str(side), "the number of points"):
        counts: np.ndarray = np.load(side).astype(np.int64)
    if counts.shape != (num_events,) or (counts < 0).any():
        raise UserError(
            f"{side} has shape {counts.shape} for {num_events} events of {path}, or negative counts; delete it, the "
            "reader counts without it"
        )
    return counts

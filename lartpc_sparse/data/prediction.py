"""The results of one event, aligned with the voxels of its file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int32, Int64, Shaped

from lartpc_sparse.data.event import EventKey

__all__ = ["OK", "Prediction", "scatter_to_input"]

OK = "ok"
_NAME = re.compile(r"\w[\w .:+-]*")


@dataclass(frozen=True)
class Prediction:
    """Results of one event; M voxels as the file has them, before any transform; D axes.

    Attributes:
        key: file and entry.
        coords: voxel index.
        energy: MeV, or the detector's units in 2D.
        truth: labels of the file by name (`semantic`, `instance`, ...); empty for real data.
        columns: results for each voxel by "<head>/<column>", e.g. `semantic/probability` (M, 5).
        tables: for each head, columns of one common length K, e.g. the voxels filled into gaps.
        status: "ok", or why the event was skipped.

    Raises:
        ValueError: lengths disagree or a name cannot be stored.
    """

    key: EventKey
    coords: Int32[np.ndarray, "M D"]
    energy: Float32[np.ndarray, " M"]
    truth: Mapping[str, Shaped[np.ndarray, " M"]] = field(default_factory=dict)
    columns: Mapping[str, Shaped[np.ndarray, "M ..."]] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Shaped[np.ndarray, "_ ..."]]] = field(default_factory=dict)
    status: str = OK

    def __post_init__(self) -> None:
        if self.coords.ndim != 2:
            raise ValueError(f"{self.key}: coords have shape {self.coords.shape}, expected (M, D)")
        per_voxel = {"energy": self.energy, **self.truth, **self.columns}
        wrong = {name: len(values) for name, values in per_voxel.items() if len(values) != len(self.coords)}
        if wrong:
            raise ValueError(f"{self.key}: {len(self.coords)} voxels but columns of other lengths: {wrong}")
        for name in self.columns:
            if name.count("/") != 1:
                raise ValueError(f"{self.key}: column {name!r} must be named '<head>/<column>'")
        for head, table in self.tables.items():
            lengths = {name: len(values) for name, values in table.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"{self.key}: columns of table {head} differ in length: {lengths}")
            if "offsets" in table:
                raise ValueError(f"{self.key}: a column of table {head} must not be named offsets")
        for name in self._names():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{self.key}: {name!r} cannot be a name in a predictions file")

    def __len__(self) -> int:
        return len(self.coords)

    def _names(self) -> list[str]:
        names = [*self.truth, *self.tables, *(part for name in self.columns for part in name.split("/"))]
        return names + [name for table in self.tables.values() for name in table]


def scatter_to_input(
    values: Shaped[np.ndarray, "N ..."], inverse_index: Int64[np.ndarray, " M"], fill: float
) -> Shaped[np.ndarray, "M ..."]:
    """Values of a transformed event's voxels, given to the rows of its file.

    Args:
        values: one row for each voxel of the transformed event.
        inverse_index: `Event.inverse_index`, row in the file -> row of `values`, -1 for a dropped voxel.
        fill: value for dropped voxels.

    Raises:
        ValueError: the index reaches beyond `values`, or `fill` does not fit their type.
    """
    if len(inverse_index) and not -1 <= inverse_index.min() <= inverse_index.max() < len(values):
        raise ValueError(
            f"inverse_index spans {inverse_index.min()}..{inverse_index.max()}, but there are {len(values)} rows"
        )
    fits = values.dtype.kind == "f" or (np.isfinite(fill) and np.array(fill).astype(values.dtype) == fill)
    if not fits:
        raise ValueError(f"fill {fill} cannot be held by {values.dtype}")
    result = np.full((len(inverse_index), *values.shape[1:]), fill, dtype=values.dtype)
    stays = inverse_index >= 0
    result[stays] = values[inverse_index[stays]]
    return result

"""Writes a predictions file event by event, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
from jaxtyping import Shaped

from lartpc_sparse.data.growing_column import GrowingColumn
from lartpc_sparse.data.prediction import OK, Prediction
from lartpc_sparse.jobs import replace_durably
from lartpc_sparse.provenance import provenance

__all__ = ["FORMAT", "FORMAT_VERSION", "PredictionWriter"]

FORMAT = "lartpc_sparse.predictions"
FORMAT_VERSION = 1


class PredictionWriter:
    """Context manager that appends predictions to a new file, which appears under its name only when complete.

    The first event with status "ok" fixes the columns and tables, their types and row shapes; every further
    "ok" event must have the same. Of a skipped event the columns that are known from there are stored, and
    those it lacks are filled: -1 (integers), NaN (floats), False or 0 (other types), no table rows. Skipped
    events that come before the first "ok" one wait in memory for it.

    Layout: root attributes `format`, `format_version`, provenance, `classes` (JSON), `image_size`, `config`
    (YAML) and the given ones; `events/{file,entry,status}`; `offsets` (E+1); `input/{coords,energy}`;
    `truth/<name>`; `voxels/<head>/<column>`; `tables/<head>/offsets` (E+1) and `tables/<head>/<column>`.

    Args:
        path: file to write; its folder is made. An existing file is replaced at the end.
        image_size: voxels along each axis.
        classes: names of the values of `truth["semantic"]`.
        attributes: further root attributes.
        config_yaml: the resolved configuration.

    Raises:
        ValueError: an attribute has a name of the format's own.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        image_size: tuple[int, ...],
        classes: tuple[str, ...],
        attributes: Mapping[str, str | int | float | bool],
        config_yaml: str = "",
    ) -> None:
        own = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **provenance(),
            "classes": json.dumps(classes),
            "image_size": np.array(image_size, dtype=np.int64),
            "config": config_yaml,
        }
        taken = sorted(set(own) & set(attributes))
        if taken:
            raise ValueError(f"attributes {taken} belong to the file format; choose other names")
        self._path = Path(path)
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._attributes = {**own, **attributes}
        self._dim = len(image_size)
        self._file: h5py.File | None = None
        self._fixed: dict[str, GrowingColumn] = {}
        self._columns: dict[str, GrowingColumn] | None = None
        self._table_offsets: dict[str, GrowingColumn] = {}
        self._ends: dict[str, int] = {}
        self._early: list[Prediction] = []

    def __enter__(self) -> PredictionWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = h5py.File(self._partial, "w", rdcc_nbytes=0)  # whole chunks go straight to the disk
        self._file.attrs.update(self._attributes)
        for group in ("truth", "voxels", "tables"):
            self._file.create_group(group)
        text = np.dtype("O")
        layout: tuple[tuple[str, np.dtype, tuple[int, ...]], ...] = (
            ("events/file", text, ()),
            ("events/entry", np.dtype("i8"), ()),
            ("events/status", text, ()),
            ("input/coords", np.dtype("i4"), (self._dim,)),
            ("input/energy", np.dtype("f4"), ()),
        )
        self._fixed = {name: GrowingColumn(self._file, name, dtype, shape) for name, dtype, shape in layout}
        self._fixed["offsets"] = self._offsets_column("offsets")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._finish()
            self._file.close()
            if kind is None:
                replace_durably(self._partial, self._path)
        finally:
            self._file.close()
            self._file = None
            self._partial.unlink(missing_ok=True)

    def write(self, prediction: Prediction) -> None:
        """Append one event.

        Raises:
            ValueError: coords have another number of axes, or columns differ from those of the first ok event.
            RuntimeError: outside the `with` block.
        """
        if self._file is None:
            raise RuntimeError("PredictionWriter.write is called outside its with block")
        if prediction.coords.shape[1] != self._dim:
            raise ValueError(f"{prediction.key}: coords have {prediction.coords.shape[1]} axes, not {self._dim}")
        if self._columns is None:
            if prediction.status != OK:
                self._early.append(prediction)
                return
            self._fix_columns(self._file, prediction)
        self._append(prediction)

    def _finish(self) -> None:
        if self._columns is None:
            self._columns = {}
            self._append_early()
        for column in (*self._fixed.values(), *self._columns.values(), *self._table_offsets.values()):
            column.close()

    def _offsets_column(self, path: str) -> GrowingColumn:
        column = GrowingColumn(self._require_file(), path, np.dtype("i8"), ())
        column.append(np.zeros(1, dtype=np.int64))
        self._ends[path] = 0
        return column

    def _require_file(self) -> h5py.File:
        assert self._file is not None
        return self._file

    def _fix_columns(self, file: h5py.File, prediction: Prediction) -> None:
        arrays = _arrays(prediction)
        for path, values in arrays.items():
            if values.dtype.kind not in "biuf":
                raise ValueError(f"{prediction.key}: {path} has type {values.dtype}; store numbers or booleans")
        self._columns = {
            path: GrowingColumn(file, path, values.dtype, values.shape[1:]) for path, values in arrays.items()
        }
        for head in prediction.tables:
            self._table_offsets[head] = self._offsets_column(f"tables/{head}/offsets")
        self._append_early()

    def _append_early(self) -> None:
        early, self._early = self._early, []
        for prediction in early:
            self._append(prediction)

    def _append(self, prediction: Prediction) -> None:
        assert self._columns is not None
        arrays = _arrays(prediction)
        _check_columns(prediction, arrays, self._columns)
        rows = {head: _table_rows(prediction, head) for head in self._table_offsets}
        for path, column in self._columns.items():
            if path in arrays:
                column.append(arrays[path])
            elif path.startswith("tables/"):
                column.append_missing(rows[path.split("/")[1]])
            else:
                column.append_missing(len(prediction))
        for head, offsets in self._table_offsets.items():
            self._append_end(offsets, f"tables/{head}/offsets", rows[head])
        self._fixed["input/coords"].append(prediction.coords)
        self._fixed["input/energy"].append(prediction.energy)
        self._append_end(self._fixed["offsets"], "offsets", len(prediction))
        self._fixed["events/file"].append(np.array([prediction.key.file], dtype=object))
        self._fixed["events/entry"].append(np.array([prediction.key.entry], dtype=np.int64))
        self._fixed["events/status"].append(np.array([prediction.status], dtype=object))

    def _append_end(self, column: GrowingColumn, path: str, count: int) -> None:
        self._ends[path] += count
        column.append(np.array([self._ends[path]], dtype=np.int64))


def _arrays(prediction: Prediction) -> dict[str, Shaped[np.ndarray, "_ ..."]]:
    """The event's columns by their path in the file."""
    return {
        **{f"truth/{name}": values for name, values in prediction.truth.items()},
        **{f"voxels/{name}": values for name, values in prediction.columns.items()},
        **{
            f"tables/{head}/{name}": values
            for head, table in prediction.tables.items()
            for name, values in table.items()
        },
    }


def _table_rows(prediction: Prediction, head: str) -> int:
    return max((len(values) for values in prediction.tables.get(head, {}).values()), default=0)


def _check_columns(
    prediction: Prediction, arrays: Mapping[str, Shaped[np.ndarray, "_ ..."]], known: Mapping[str, GrowingColumn]
) -> None:
    if prediction.status == OK and set(arrays) != set(known):
        raise ValueError(
            f"{prediction.key}: columns differ from the first event's; "
            f"missing {sorted(set(known) - set(arrays))}, new {sorted(set(arrays) - set(known))}"
        )
    for path in set(arrays) & set(known):
        have = (arrays[path].dtype, arrays[path].shape[1:])
        want = (known[path].dtype, known[path].row_shape)
        if have != want:
            raise ValueError(f"{prediction.key}: {path} has type and row shape {have}, the first event {want}")

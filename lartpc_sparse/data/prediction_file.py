"""Reads a predictions file; the writer and the values it holds are also named here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the blosc filter with h5py
import numpy as np
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.claimed_sizes import checked_data_sets
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction import OK, Prediction, scatter_to_input
from lartpc_sparse.data.prediction_writer import FORMAT, FORMAT_VERSION, PredictionWriter
from lartpc_sparse.schema import UserError

__all__ = ["Prediction", "PredictionFile", "PredictionWriter", "scatter_to_input"]

CURE = "run the predict step again (--only predict --force)"


class PredictionFile:
    """A file written by PredictionWriter: a sequence of predictions; also a context manager.

    Attributes:
        path: of the file.
        attributes: root attributes as Python values (version, git hash, creation time, the writer's own, ...).
        classes: names of the values of `truth["semantic"]`.
        image_size: voxels along each axis.

    Raises:
        UserError: the file is missing, truncated, of another format or inconsistent.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            self.attributes = _attributes(self._file, self.path)
            self._sets = checked_data_sets(self._file, self.path)
            self.classes: tuple[str, ...] = tuple(json.loads(self.attributes["classes"]))
            self.image_size: tuple[int, ...] = tuple(self.attributes["image_size"])
            self._entries = self._sets["events/entry"][()]
            self._offsets = self._sets["offsets"][()]
            self._columns = {group: self._names(group) for group in ("truth", "voxels", "tables")}
            self._table_offsets = {head: self._sets[f"tables/{head}/offsets"][()] for head in self._file["tables"]}
            self._check_lengths()
        except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            self._file.close()
            raise UserError(f"{self.path} is damaged or incomplete ({error}); {CURE}") from error
        except UserError:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Prediction]:
        return (self.read(index) for index in range(len(self)))

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read after that."""
        self._file.close()

    @property
    def config_yaml(self) -> str:
        """The resolved configuration of the job that wrote the file."""
        return str(self.attributes["config"])

    @property
    def skipped(self) -> int:
        """Number of events that were skipped."""
        return sum(1 for status in self._sets["events/status"][()] if status.decode("utf-8") != OK)

    @property
    def data_sets(self) -> Mapping[str, h5py.Dataset]:
        """The columns as they are stored, by their path in the file; valid until it is closed."""
        return self._sets

    def read(self, index: int) -> Prediction:
        """The results of one event.

        Raises:
            IndexError: no such event.
            UserError: its part of the file is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"event {index} of {len(self)} in {self.path}")
        try:
            return self._read(index)
        except (OSError, RuntimeError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path}: event {index} cannot be read ({error}); {CURE}") from error

    def _read(self, index: int) -> Prediction:
        voxels = slice(self._offsets[index], self._offsets[index + 1])
        tables: dict[str, dict[str, Shaped[np.ndarray, "_ ..."]]] = {head: {} for head in self._table_offsets}
        for name in self._columns["tables"]:
            head, column = name.split("/")
            if column != "offsets":
                offsets = self._table_offsets[head]
                tables[head][column] = self._sets[f"tables/{name}"][offsets[index] : offsets[index + 1]]
        return Prediction(
            key=EventKey(self._text("file", index), int(self._entries[index])),
            coords=self._sets["input/coords"][voxels],
            energy=self._sets["input/energy"][voxels],
            truth={name: self._sets[f"truth/{name}"][voxels] for name in self._columns["truth"]},
            columns={name: self._sets[f"voxels/{name}"][voxels] for name in self._columns["voxels"]},
            tables=tables,
            status=self._text("status", index),
        )

    def _text(self, name: str, index: int) -> str:
        value: bytes = self._sets[f"events/{name}"][index]
        return value.decode("utf-8")

    def _names(self, group: str) -> list[str]:
        """Paths of the data sets below a group, relative to it."""
        self._file[group]  # KeyError where the file lacks it
        return sorted(name.removeprefix(f"{group}/") for name in self._sets if name.startswith(f"{group}/"))

    def _check_lengths(self) -> None:
        events = len(self._entries)
        for name in ("file", "status"):
            if len(self._sets[f"events/{name}"]) != events:
                raise ValueError(f"events/{name} has {len(self._sets[f'events/{name}'])} rows for {events} events")
        _check_offsets("offsets", self._offsets, events)
        for head, offsets in self._table_offsets.items():
            _check_offsets(f"tables/{head}/offsets", offsets, events)
        per_voxel = ["input/coords", "input/energy"]
        per_voxel += [f"{group}/{name}" for group in ("truth", "voxels") for name in self._columns[group]]
        ends = {name: int(self._offsets[-1]) for name in per_voxel}
        for name in self._columns["tables"]:
            head, column = name.split("/")
            if column != "offsets":
                ends[f"tables/{name}"] = int(self._table_offsets[head][-1])
        for name, end in ends.items():
            if len(self._sets[name]) != end:
                raise ValueError(f"{name} has {len(self._sets[name])} rows, its offsets end at {end}")
        if self._sets["input/coords"].shape[1:] != (len(self.image_size),):
            raise ValueError("input/coords does not fit image_size")


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise UserError(f"there is no predictions file {path}; run the predict step first")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{path} is not an HDF5 file or is truncated ({error}); {CURE}") from error


def _attributes(file: h5py.File, path: Path) -> Mapping[str, Any]:
    values = {name: _plain(value) for name, value in file.attrs.items()}
    if values.get("format") != FORMAT:
        raise UserError(f"{path} is not a predictions file (format {values.get('format')!r}, expected {FORMAT!r})")
    if values.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{path} has format_version {values.get('format_version')}, this program reads {FORMAT_VERSION}; "
            f"update lartpc_sparse, or {CURE}"
        )
    return values


def _plain(value: Any) -> Any:
    """An HDF5 attribute as str, number, bool or list."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _check_offsets(name: str, offsets: Int64[np.ndarray, " E1"], events: int) -> None:
    if len(offsets) != events + 1 or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name} must have {events + 1} values that start at 0 and never fall")

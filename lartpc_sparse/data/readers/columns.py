"""Reader of plain HDF5 files with flat columns and offsets, as analysis code writes them.

Rows offsets[e] to offsets[e + 1] - 1 of every column are the voxels of event e. Names are options.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Num
from pydantic import Field, field_validator

from lartpc_sparse.data.classes import PILARNET, split_names, split_track_class
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.base import check_energy, check_semantic, whole_coords
from lartpc_sparse.data.readers.columns_file import ColumnsFile, ColumnsLayout, TableLayout
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.counted_events import CountedEvents
from lartpc_sparse.data.readers.files import FileReaderConfig, OpenFiles, resolve_files
from lartpc_sparse.schema import BadEventError, Config, UserError

__all__ = ["ColumnsConfig", "ColumnsReader", "ParticleColumnsConfig"]

_CODES = {"semantic", "pid"}


class ParticleColumnsConfig(Config):
    """Where the particle table of a file of flat columns is."""

    offsets: str = Field(description="data set with the first row of each event and the number of rows at the end")
    columns: dict[str, tuple[str, ...]] = Field(
        min_length=1, description="data set -> name of each of its columns; one name for a data set with one axis"
    )


class ColumnsConfig(FileReaderConfig):
    """HDF5 files with flat columns and offsets that another program wrote; names of data sets may be paths (`a/b`)."""

    kind: Literal["columns"] = "columns"
    coords: str | tuple[str, ...] = Field(
        default="coords", description="voxel index: one data set (N, D), or one data set (N,) for each axis"
    )
    energy: str = Field(
        default="energy", description="data set with the energy of each voxel, MeV or the detector's unit"
    )
    offsets: str = Field(
        default="offsets", description="data set (E+1,) with the first row of each of E events, and the number of rows"
    )
    labels: dict[str, str] | None = Field(
        default=None,
        description="label -> data set; each must be there. By default semantic, instance (instance, else fragment), "
        "fragment, group, interaction and pid, as far as they are there. -1: none",
    )
    classes: tuple[str, ...] = Field(
        default=PILARNET, description="names of the semantic codes 0, 1, ... in the file; -1 is not labelled"
    )
    split_tracks: bool | None = Field(
        default=None,
        description="make HIP (pid 4) and MIP (pid 2, 3) of the class `track`; by default where all of these are there",
    )
    image_size: tuple[int, ...] | None = Field(
        default=None,
        description="voxels along each axis; by default the attribute `image_size` or `grid` of the file, one number a "
        "side or one for all",
    )
    voxel_size_mm: float | None = Field(
        default=None, gt=0, description="edge of a voxel in mm; by default the attribute `voxel_size_mm` or `voxel_mm`"
    )
    particles: ParticleColumnsConfig | None = Field(default=None, description="the particle table; null: none")

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("classes are different names, at least one")
        return value

    @field_validator("image_size")
    @classmethod
    def _check_size(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (not value or min(value) < 1):
            raise ValueError(f"image_size is a number of voxels, at least 1, for each axis, not {list(value)}")
        return value

    def layout(self) -> ColumnsLayout:
        """Where the columns are, without what they mean."""
        table = self.particles and TableLayout(offsets=self.particles.offsets, columns=self.particles.columns)
        return ColumnsLayout(
            coords=self.coords, energy=self.energy, offsets=self.offsets, labels=self.labels, particles=table
        )

    def build(self) -> ColumnsReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        return ColumnsReader(resolve_files(self.files), self)


class ColumnsReader(CountedEvents):
    """Events of files with flat columns.

    Args:
        files: paths, in order.
        config: names and meaning of the data sets; its `files` are not looked at.

    Raises:
        UserError: a file that is missing or damaged, a data set that is not there or does not fit, no image size, or
            files whose labels, classes or image sizes differ.
    """

    def __init__(self, files: tuple[str, ...], config: ColumnsConfig) -> None:
        super().__init__(files, config, partial(_visit, config=config), "columns 1")
        self._stored_classes = config.classes
        self._files = OpenFiles(partial(ColumnsFile, layout=config.layout()))

    def read(self, index: int) -> Event:
        """One event; voxels of the class `low_energy` belong to no instance (-1).

        Raises:
            BadEventError: data that cannot be read, coordinates that are not whole or outside the image, energies that
                are not finite, semantic codes without a class, labels that do not fit 64 bits.
            UserError: the file is damaged.
        """
        key = self._index.key(index)
        file = self._files.get(key.file)
        if sorted(file.labels) != self.facts["labels"]:
            raise UserError(f"{key.file} has changed since the reader was made")
        stored = file.voxels(key)
        coords = whole_coords(key, stored.pop("coords"), self.image_size)
        energy = stored.pop("energy").astype(np.float32)
        check_energy(key, energy)
        particles = file.particles(key)
        return Event(
            key=key,
            coords=coords.astype(np.int32, copy=False),
            energy=energy,
            image_size=self.image_size,
            classes=self.classes,
            labels=self._labels(key, {name: _column(key, name, values) for name, values in stored.items()}),
            particles=self._split(key, particles) if self.classes and particles.keys() >= _CODES else particles,
        )

    def _labels(self, key: EventKey, labels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if "semantic" not in labels:
            return labels
        low_energy = np.zeros(len(labels["semantic"]), dtype=bool)
        if "low_energy" in self._stored_classes:
            low_energy = labels["semantic"] == self._stored_classes.index("low_energy")
        labels = self._split(key, labels)
        if "instance" in labels:
            labels["instance"] = np.where(low_energy, -1, labels["instance"])
        return labels

    def _split(self, key: EventKey, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The columns with `semantic` in the classes of the reader."""
        semantic = columns["semantic"]
        whole = np.nan_to_num(semantic, nan=-2, posinf=-2, neginf=-2).astype(np.int64)
        if (whole != semantic).any():
            raise BadEventError(f"{key}: semantic is no column of whole numbers; name another data set in `labels`")
        check_semantic(key, whole, self._stored_classes)
        if self.classes != self._stored_classes:
            whole = split_track_class(whole, self._stored_classes, columns["pid"])
        return {**columns, "semantic": whole}


def _column(key: EventKey, name: str, values: Num[np.ndarray, " N"]) -> np.ndarray:
    """A label as int64 or float32."""
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    column = values.astype(np.int64)
    if values.dtype.kind == "u" and (column < 0).any():
        raise BadEventError(f"{key}: {name} reaches {values.max()}, which does not fit 64 bits with a sign")
    return column


def _visit(path: str, config: ColumnsConfig) -> FileCount:
    file = ColumnsFile(path, config.layout())
    try:
        size = config.image_size
        if size is None:
            found = file.attribute("image_size", "grid")
            if found is None or len(found) not in (1, file.dim) or (found < 1).any() or (found != np.rint(found)).any():
                raise UserError(f"{path} does not say how many voxels its image has; give the reader image_size")
            size = tuple(int(number) for number in found) * (file.dim // len(found))
        if len(size) != file.dim:
            raise UserError(
                f"{path}: coords have {file.dim} axes, image_size {len(size)}; correct image_size or coords"
            )
        found = file.attribute("voxel_size_mm", "voxel_mm")
        edge = config.voxel_size_mm or (None if found is None or not found[0] > 0 else float(found[0]))
        facts = {
            "labels": sorted(file.labels),
            "classes": _classes(path, file, config),
            "image_size": size,
            "voxel_size_mm": edge,
        }
        return FileCount(len(file.offsets) - 1, np.diff(file.offsets), json.dumps(facts))
    finally:
        file.close()


def _classes(path: str, file: ColumnsFile, config: ColumnsConfig) -> tuple[str, ...]:
    possible = file.labels.keys() >= _CODES and "track" in config.classes
    if config.split_tracks and not possible:
        raise UserError(
            f"{path}: split_tracks wants labels semantic and pid and a class `track`; there are the labels "
            f"{sorted(file.labels)} and the classes {list(config.classes)}"
        )
    if "semantic" not in file.labels:
        return ()
    split = possible if config.split_tracks is None else config.split_tracks
    return split_names(config.classes) if split else config.classes

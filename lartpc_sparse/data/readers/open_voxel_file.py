"""One open file of the project's own format (see `lartpc_sparse.data.voxel_file`)."""

from __future__ import annotations

import h5py
import numpy as np
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.readers.direct_rows import DirectRows, direct_rows
from lartpc_sparse.data.readers.files import damage_named, open_hdf5
from lartpc_sparse.data.readers.voxel_header import read_header, read_offsets
from lartpc_sparse.schema import UserError

__all__ = ["VoxelFile"]


class VoxelFile:
    """One open file with its offsets and checksums.

    Args:
        path: of the file.

    Raises:
        UserError: the file is missing, damaged or of another format, or its parts do not fit together.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_hdf5(path)
        self.header = read_header(self._file, path)
        with damage_named(path, "the layout"):
            self.coords, self.energy = self._file["coords"], self._file["energy"]
            self.labels = self._group("labels")
            self.particles = self._group("particles")
            self.offsets = self._offsets("offsets", {"coords": self.coords, "energy": self.energy, **self.labels})
            axes = (len(self.coords), len(self.header.image_size))
            if self.coords.shape != axes:
                raise UserError(f"{path}: coords have shape {self.coords.shape}, expected {axes}; the file is damaged")
            self.checksums = self._read_checksums()
            if self.checksums:
                self.coords, self.energy = self._fastest(self.coords), self._fastest(self.energy)
                self.labels = {name: self._fastest(column) for name, column in self.labels.items()}
            self.particle_offsets = self._offsets("particle_offsets", self.particles)

    def _fastest(self, data: h5py.Dataset) -> h5py.Dataset | DirectRows:
        return direct_rows(self._file, data) or data

    def _group(self, name: str) -> dict[str, h5py.Dataset]:
        return dict(self._file[name].items()) if name in self._file else {}

    def _read_checksums(self) -> dict[str, Shaped[np.ndarray, " E"]]:
        """Of every event of every column of voxels; empty where the chunks have them."""
        if "checksums" not in self._file:
            return {}
        names = {"coords": "coords", "energy": "energy", **{name: f"labels/{name}" for name in self.labels}}
        found = {name: self._file[f"checksums/{place}"][:] for name, place in names.items()}
        wrong = {name: sums.shape for name, sums in found.items() if sums.shape != (len(self.offsets) - 1,)}
        if wrong:
            raise UserError(f"{self._path}: `checksums` have other lengths than the events: {wrong}; make it again")
        return found

    def _offsets(self, name: str, columns: dict[str, h5py.Dataset]) -> Int64[np.ndarray, " E1"]:
        offsets = read_offsets(self._file, name, self._path)
        wrong = {column: len(data) for column, data in columns.items() if len(data) != offsets[-1]}
        if wrong:
            raise UserError(
                f"{self._path}: `{name}` ends at {offsets[-1]}, but columns have other lengths: {wrong}; "
                "make the file again"
            )
        return offsets

    def close(self) -> None:
        """Close the file."""
        self._file.close()

"""One open file of the project's own format (see `lartpc_sparse.data.voxel_file`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import h5py
import numpy as np
from jaxtyping import Bool, Int64, Shaped

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.fast_zlib import crc32
from lartpc_sparse.data.readers.direct_rows import DirectRows, direct_rows
from lartpc_sparse.data.readers.files import DAMAGE, damage, damage_named, open_hdf5
from lartpc_sparse.data.readers.voxel_header import read_header, read_offsets
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["VoxelFile"]

Columns = Mapping[str, h5py.Dataset | DirectRows]
Sums = Mapping[str, memoryview]
"""CRC-32 of every event, by column."""


class VoxelFile:
    """One open file with its offsets and checksums.

    Args:
        path: of the file.

    Attributes:
        header: what the file says about its events.
        labels: names of its label columns.
        known_good: events whose columns the reader has found sound, with the checksums of the file: what has the same
            checksums again need not be looked at again. None: checksums are HDF5's own, and say nothing to the reader.

    Raises:
        UserError: the file is missing, damaged or of another format, or its parts do not fit together.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open_hdf5(path)
        self.header = read_header(self._file, path)
        with damage_named(path, "the layout"):
            coords, energy, labels = self._file["coords"], self._file["energy"], self._group("labels")
            voxels, particles = {"coords": coords, "energy": energy, **labels}, self._group("particles")
            self.labels = tuple(labels)
            self.offsets = self._offsets("offsets", voxels)
            self._particle_offsets = self._offsets("particle_offsets", particles)
            axes = (len(coords), len(self.header.image_size))
            if coords.shape != axes:
                raise UserError(f"{path}: coords have shape {coords.shape}, expected {axes}; the file is damaged")
            self._sums = self._checksums({name: f"labels/{name}" if name in labels else name for name in voxels})
            self._particle_sums: Sums = {}
            if "checksums/particles" in self._file:  # the first files with checksums packed this table
                self._particle_sums = self._checksums({name: f"particles/{name}" for name in particles})
            self._voxels = self._fastest(voxels, self._sums)
            self._particles = self._fastest(particles, self._particle_sums)
        self.known_good: Bool[np.ndarray, " E"] | None = np.zeros(len(self), dtype=bool) if self._sums else None

    def __len__(self) -> int:
        """Number of events E."""
        return len(self.offsets) - 1

    def _group(self, name: str) -> dict[str, h5py.Dataset]:
        return dict(self._file[name].items()) if name in self._file else {}

    def _fastest(self, columns: Mapping[str, h5py.Dataset], checked: Sums) -> Columns:
        """Past HDF5 where a checksum of ours covers the column and its layout allows it."""
        return {
            name: (direct_rows(self._file, data) if name in checked else None) or data for name, data in columns.items()
        }

    def _checksums(self, places: Mapping[str, str]) -> Sums:
        """Of every event of every column; empty where the chunks have them."""
        if "checksums" not in self._file:
            return {}
        found = {name: self._file[f"checksums/{place}"][:] for name, place in places.items()}
        wrong = {name: sums.shape for name, sums in found.items() if sums.shape != (len(self),)}
        if wrong:
            raise UserError(f"{self._path}: `checksums` have other lengths than the events: {wrong}; make it again")
        return {name: sums.data for name, sums in found.items()}  # a number of a memoryview is a plain int, and fast

    def _offsets(self, name: str, columns: Mapping[str, h5py.Dataset]) -> Int64[np.ndarray, " E1"]:
        offsets = read_offsets(self._file, name, self._path)
        wrong = {column: len(data) for column, data in columns.items() if len(data) != offsets[-1]}
        if wrong:
            raise UserError(
                f"{self._path}: `{name}` ends at {offsets[-1]}, but columns have other lengths: {wrong}; "
                "make the file again"
            )
        return offsets

    def voxels(self, key: EventKey, labels: Iterable[str]) -> dict[str, Shaped[np.ndarray, "N ..."]]:
        """`coords`, `energy` and label columns of one event, as stored.

        Raises:
            BadEventError: they cannot be read, or a checksum is wrong.
        """
        columns = {name: self._voxels[name] for name in ("coords", "energy", *labels)}
        return self._rows(columns, self._sums, self.offsets, key)

    def particles(self, key: EventKey) -> dict[str, Shaped[np.ndarray, "P ..."]]:
        """The particle table of one event.

        Raises:
            BadEventError: it cannot be read, or a checksum is wrong.
        """
        return self._rows(self._particles, self._particle_sums, self._particle_offsets, key)

    def _rows(
        self, columns: Columns, sums: Sums, offsets: Int64[np.ndarray, " E1"], key: EventKey
    ) -> dict[str, np.ndarray]:
        if key.entry >= len(self):
            raise BadEventError(f"{key}: the file has {len(self)} events; it has changed since the reader was made")
        entry = key.entry
        rows = slice(int(offsets[entry]), int(offsets[entry + 1]))
        found: dict[str, np.ndarray] = {}
        name = "the event"
        try:
            for name, column in columns.items():
                found[name] = column[rows]
                if name in sums and crc32(found[name]) != sums[name][entry]:
                    raise OSError("its checksum is wrong")
        except DAMAGE as error:
            raise damage(key, name, error) from error
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()

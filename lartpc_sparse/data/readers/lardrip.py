"""Reader of the HDF5 files of LArDRIP: images cut into patches, energies only (DanielMDouglas/LArDRIP).

`patchBounds` has a row a patch with its number and bounds in voxels; `patchedData` a row a deposit with the numbers of
its image and patch, its place in the patch and its charge. Image i is event i. A voxel can have several deposits;
`merge_duplicates` adds them up.
"""

from __future__ import annotations

import json
from typing import Literal

import h5py
import numpy as np
from jaxtyping import Int64
from pydantic import Field

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.base import check_energy, whole_coords
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.counted_events import CountedEvents
from lartpc_sparse.data.readers.files import FileReaderConfig, OpenFiles, damage_named, open_hdf5, resolve_files
from lartpc_sparse.schema import BadEventError, UserError

__all__ = ["LardripConfig", "LardripReader"]

DATA, BOUNDS = "patchedData", "patchBounds"
_VOXEL = ("imageInd", "patchInd", "voxx", "voxy", "voxz", "voxq")
_PATCH = ("patchInd", *(f"{axis}{end}" for axis in "xyz" for end in ("min", "max")))
_MOST_IMAGES = 1 << 31


class LardripConfig(FileReaderConfig):
    """LArDRIP files: images of charge without labels, for inpainting."""

    kind: Literal["lardrip"] = "lardrip"
    voxel_size_mm: float | None = Field(None, gt=0, description="edge of a voxel, mm; the files do not say it")

    def build(self) -> LardripReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        return LardripReader(resolve_files(self.files), self)


class LardripReader(CountedEvents):
    """Events of LArDRIP files; no labels, no particles.

    Args:
        files: paths, in order.
        config: its `files` are not looked at.

    Raises:
        UserError: a file that is missing, damaged or of another format, or files whose images differ in size.
    """

    def __init__(self, files: tuple[str, ...], config: LardripConfig) -> None:
        super().__init__(files, config, _visit, "lardrip 1")
        self.voxel_size_mm = config.voxel_size_mm
        self._files = OpenFiles(_LardripFile)

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: a voxel of a patch that is not there or outside its patch, an energy that is not finite; or
                data that cannot be read.
            UserError: the file is damaged.
        """
        key = self._index.key(index)
        file = self._files.get(key.file)
        with damage_named(key, DATA):
            rows = file.rows(key.entry)
        patch = rows["patchInd"].astype(np.int64)
        place = np.searchsorted(file.patches, patch)
        known = (place < len(file.patches)) & (file.patches[np.minimum(place, len(file.patches) - 1)] == patch)
        if not known.all():
            raise BadEventError(f"{key}: patch {patch[~known][0]} is not in {BOUNDS}")
        inside = np.stack([rows[f"vox{axis}"] for axis in "xyz"], axis=1).astype(np.int64)
        outside = ((inside < 0) | (inside >= (file.high - file.low)[place])).any(axis=1)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise BadEventError(f"{key}: voxel {row} at {inside[row].tolist()} lies outside its patch {patch[row]}")
        energy = rows["voxq"].astype(np.float32)
        check_energy(key, energy)
        coords = whole_coords(key, inside + file.low[place], self.image_size)
        return Event(key=key, coords=coords.astype(np.int32), energy=energy, image_size=self.image_size)


class _LardripFile:
    """One open file; rows of an image are found by the numbers of images, which are in memory.

    Raises:
        UserError: not a LArDRIP file, or damaged.
    """

    def __init__(self, path: str) -> None:
        self._file = open_hdf5(path)
        try:
            with damage_named(path, "the layout"):
                self._open(path)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: str) -> None:
        for name, wanted in ((DATA, _VOXEL), (BOUNDS, _PATCH)):
            found = self._file[name] if name in self._file else None  # noqa: SIM401  `get` would swallow damage
            fields = found.dtype.names if isinstance(found, h5py.Dataset) and found.ndim == 1 else None
            if fields is None or not set(wanted) <= set(fields):
                raise UserError(
                    f"{path} has no table `{name}` with the columns {', '.join(wanted)}, so it is no LArDRIP file; it "
                    f"has {', '.join(sorted(self._file)) or 'nothing'}: choose the `kind` of reader that fits"
                )
        bounds = self._file[BOUNDS][:]
        bounds = bounds[np.argsort(bounds["patchInd"], kind="stable")]
        self.patches = bounds["patchInd"].astype(np.int64)
        self.low, self.high = (
            np.stack([bounds[f"{axis}{end}"] for axis in "xyz"], axis=1).astype(np.int64) for end in ("min", "max")
        )
        if not len(bounds) or len(np.unique(self.patches)) < len(bounds) or not (self.low >= 0).all():
            raise UserError(f"{path}: {BOUNDS} is empty, has a patch twice or bounds below 0; make the file again")
        if not (self.low < self.high).all():
            raise UserError(f"{path}: {BOUNDS} has patches without voxels; make the file again")
        images = self._file[DATA].fields("imageInd")[:].astype(np.int64)
        if len(images) and not 0 <= images.min() <= images.max() < _MOST_IMAGES:
            raise UserError(f"{path}: {DATA} has images {images.min()} to {images.max()}; the file is damaged")
        # Voxels of an image mostly lie one after the other; where not, their rows are sorted.
        self._order = None if (np.diff(images) >= 0).all() else np.argsort(images, kind="stable")
        self._images = images if self._order is None else images[self._order]

    def counts(self) -> Int64[np.ndarray, " E"]:
        """Voxels of every image.

        Raises:
            UserError: far more images than voxels.
        """
        most = int(self._images[-1]) + 1 if len(self._images) else 0
        if most > 1000 * len(self._images):
            raise UserError(f"{self._file.filename}: {most} images of {len(self._images)} voxels; the file is damaged")
        return np.bincount(self._images, minlength=most).astype(np.int64)

    def rows(self, image: int) -> np.ndarray:
        """The voxels of an image, in the order of the file."""
        first, last = np.searchsorted(self._images, [image, image + 1]).tolist()
        if self._order is None:
            found: np.ndarray = self._file[DATA][first:last]
            return found
        wanted = self._order[first:last]  # rising: the order is stable
        values: np.ndarray = self._file[DATA][wanted]
        return values

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _visit(path: str) -> FileCount:
    file = _LardripFile(path)
    try:
        size = file.high.max(axis=0).tolist()
        counts = file.counts()
        return FileCount(len(counts), counts, json.dumps({"image_size": size, "classes": [], "voxel_size_mm": None}))
    finally:
        file.close()

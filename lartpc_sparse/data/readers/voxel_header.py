"""What a file of the project's own format says about itself, checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from jaxtyping import Int64

from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.readers.files import damage_named
from lartpc_sparse.data.voxel_file import FORMAT, FORMAT_VERSION
from lartpc_sparse.schema import UserError

__all__ = ["VoxelHeader", "read_header", "read_offsets"]


@dataclass(frozen=True)
class VoxelHeader:
    """What a file says about all its events; `voxel_size_mm` is NaN where it is not known."""

    classes: tuple[str, ...]
    image_size: tuple[int, ...]
    voxel_size_mm: float
    origin: str
    num_events: int

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> VoxelHeader:
        """From what JSON makes of `dataclasses.asdict`."""
        return cls(**{**facts, "classes": tuple(facts["classes"]), "image_size": tuple(facts["image_size"])})


def read_header(file: h5py.File, path: str) -> VoxelHeader:
    """Header of an open file, checked; reads no event.

    Raises:
        UserError: not this format, a newer version of it, or damaged.
    """
    with damage_named(path, "the attributes"):
        found, version = as_text(file.attrs.get("format")), file.attrs.get("format_version", 0)
        if found != FORMAT:
            raise UserError(
                f"{path} is not a {FORMAT} file (its attribute `format` is {found!r}); choose the `kind` of reader "
                "that fits the file"
            )
        if version > FORMAT_VERSION:
            raise UserError(
                f"{path} has format_version {version}, this package reads up to {FORMAT_VERSION}: upgrade it"
            )
        classes = json.loads(file.attrs["classes"])
        header = VoxelHeader(
            classes=tuple(str(name) for name in classes),
            image_size=tuple(int(size) for size in file.attrs["image_size"]),
            voxel_size_mm=float(file.attrs["voxel_size_mm"]),
            origin=str(as_text(file.attrs["origin"])),
            num_events=len(file["offsets"]) - 1,
        )
    if header.num_events < 0 or not header.image_size:
        raise UserError(f"{path}: `offsets` or `image_size` is empty; the file is damaged: make it again")
    return header


def read_offsets(file: h5py.File, name: str, path: str) -> Int64[np.ndarray, " E1"]:
    """`offsets` or `particle_offsets`, checked.

    Raises:
        UserError: they do not start at 0, shrink, or are not one more than the events.
    """
    with damage_named(path, name):
        offsets: Int64[np.ndarray, " E1"] = file[name][:].astype(np.int64)
        size = len(file["offsets"])
    if len(offsets) != size or offsets[0] != 0 or (np.diff(offsets) < 0).any():
        raise UserError(f"{path}: `{name}` must start at 0 and grow over {size} entries; make the file again")
    return offsets

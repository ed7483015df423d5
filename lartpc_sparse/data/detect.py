"""Which kind of reader a file needs, told from its content; no event is read."""

from __future__ import annotations

from pathlib import Path

import h5py

from lartpc_sparse.data.attributes import as_text
from lartpc_sparse.data.readers.files import damage_named, open_hdf5
from lartpc_sparse.data.voxel_file import FORMAT as VOXELS
from lartpc_sparse.jobs import input_error
from lartpc_sparse.schema import UserError

__all__ = ["detect_format"]

_ROOT = b"root"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PREDICTIONS = "lartpc_sparse.predictions"


def detect_format(path: str) -> str:
    """The `kind` of reader: voxels, pilarnet, larcv_hdf5, larcv_root, spine_hdf5, lardrip or columns.

    Raises:
        UserError: none of these, with what was seen; missing, or not readable.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise input_error(path, error) or UserError(f"{path} cannot be read ({error.strerror or error})") from error
    if start.startswith(_ROOT):
        return "larcv_root"
    if start != _HDF5 and not _is_hdf5(path):
        raise UserError(f"{path} is neither an HDF5 nor a ROOT file (it begins with {start!r}); {_known()}")
    with open_hdf5(path) as file, damage_named(path, "its layout"):
        return _kind(file, path)


def _is_hdf5(path: str) -> bool:
    try:
        return bool(h5py.is_hdf5(path))  # a user block may come first
    except OSError:
        return False


def _kind(file: h5py.File, path: str) -> str:
    names = sorted(file)
    written = as_text(file.attrs.get("format"))
    if written == VOXELS:
        return "voxels"
    if {"point", "cluster"} <= set(names):
        return "pilarnet"
    if "products" in names:
        return "spine_hdf5"
    if {"Data", "Events"} <= set(names):
        return "larcv_hdf5"
    if written != _PREDICTIONS and {"coords", "energy", "offsets"} <= set(names):
        return "columns"
    if {"patchedData", "patchBounds"} <= set(names):
        return "lardrip"
    if written == _PREDICTIONS:
        raise UserError(f"{path} holds the predictions of this package, no events to read; {_known()}")
    if {"events", "info"} <= set(names):
        raise UserError(
            f"{path} looks like a SPINE file of version 1 (region references; it has {_short(names)}); only version 2 "
            "is read: write it again with a SPINE that writes version 2"
        )
    raise UserError(
        f"{path} is an HDF5 file of no known kind; it has {_short(names)} and the attributes "
        f"{_short(sorted(file.attrs))}; {_known()}"
    )


def _short(names: list[str]) -> str:
    shown = ", ".join(names[:12]) or "(nothing)"
    return shown + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _known() -> str:
    return (
        "known are voxels (attribute `format`), PILArNet-M (point, cluster), larcv3 (Data, Events), larcv2 ROOT files, "
        "SPINE version 2 (products) and flat columns (coords, energy, offsets; with other names: --from columns --set "
        "reader.coords=...)"
    )

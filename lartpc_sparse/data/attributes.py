"""Attributes of HDF5 files, with texts where a flipped bit is noticed.

h5py puts a text into the file's global heap, which has no checksum; a flipped bit there goes unnoticed, or makes the
HDF5 library run for ever (HDFGroup/hdf5 issue 1707). A text of fixed length lies in the object header, which has one in
files of the 1.10 format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

__all__ = ["as_text", "store_attributes"]


def store_attributes(target: h5py.File | h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Set attributes; texts as UTF-8 of fixed length, anything else as h5py does."""
    for name, value in attributes.items():
        if isinstance(value, str):
            data = value.encode()
            target.attrs.create(name, np.bytes_(data), dtype=h5py.string_dtype("utf-8", max(len(data), 1)))
        else:
            target.attrs[name] = value


def as_text(value: Any) -> Any:
    """A text attribute as `str`, whichever way it was stored; anything else as it is.

    Raises:
        UnicodeDecodeError: bytes that are not UTF-8.
    """
    return value.decode() if isinstance(value, bytes) else value

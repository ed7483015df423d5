"""Sizes that an HDF5 file claims, compared with what is stored, before memory is taken for them."""

from __future__ import annotations

from pathlib import Path

import h5py

from lartpc_sparse.schema import UserError

__all__ = ["check_claimed_sizes", "checked_data_sets"]

_SMALL = 64 << 20
_PACKING = 4096
"""Claims up to 64 MiB, or up to 4096 times of what is stored (blosc packs up to 255 times), are believed."""


def checked_data_sets(file: h5py.File, path: str | Path) -> dict[str, h5py.Dataset]:
    """All data sets of a file by their path in it, once their sizes are found to be possible.

    Raises:
        UserError: see `check_claimed_sizes`.
    """
    found: dict[str, h5py.Dataset] = {}

    def check(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        found[name] = item
        if item.shape is None:
            return
        claimed = item.size * item.dtype.itemsize
        if claimed > _SMALL and claimed > _PACKING * item.id.get_storage_size():
            raise UserError(
                f"{path}: {name} claims {claimed / 1e6:,.0f} MB, but {item.id.get_storage_size() / 1e6:,.3f} MB are "
                "stored for it; the file is damaged or was made to take the memory of its reader"
            )

    file.visititems(check)
    return found


def check_claimed_sizes(file: h5py.File, path: str | Path) -> None:
    """Refuse a file whose data sets claim to be far larger than what it stores for them.

    Raises:
        UserError: names the data set and both sizes.
    """
    checked_data_sets(file, path)

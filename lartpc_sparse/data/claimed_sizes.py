"""Sizes that a file claims, compared with what is stored, before memory is taken for them."""

from __future__ import annotations

from pathlib import Path

import h5py

from lartpc_sparse.schema import UserError

__all__ = ["believable", "check_claimed_sizes", "checked_data_sets", "false_claim"]

_SMALL = 64 << 20
_PACKING = 4096
"""Claims up to 64 MiB, or up to 4096 times of what is stored (blosc and lz4 pack up to 255 times, zlib 1032), are
believed."""


def believable(claimed: int, stored: int) -> bool:
    """Whether so many bytes in a file can be so many when they are unpacked."""
    return 0 <= claimed <= max(_SMALL, _PACKING * stored)


def false_claim(path: str | Path, name: str, claimed: int, stored: int) -> UserError:
    """The error for a part of a file that claims to be larger than what is stored for it, both in bytes."""
    return UserError(
        f"{path}: {name} claims {claimed / 1e6:,.0f} MB, but {stored / 1e6:,.3f} MB are stored for it; the file is "
        "damaged or was made to take the memory of its reader"
    )


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
        stored = item.id.get_storage_size()
        if not believable(claimed, stored):
            raise false_claim(path, name, claimed, stored)

    file.visititems(check)
    return found


def check_claimed_sizes(file: h5py.File, path: str | Path) -> None:
    """Refuse a file whose data sets claim to be far larger than what it stores for them.

    Raises:
        UserError: names the data set and both sizes.
    """
    checked_data_sets(file, path)

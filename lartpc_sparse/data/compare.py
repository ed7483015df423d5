"""Whether two readers give the same events, and what differs first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.base import Reader
from lartpc_sparse.progress import track
from lartpc_sparse.schema import BadEventError

__all__ = ["compare_readers", "difference"]


def compare_readers(one: Reader, other: Reader) -> str | None:
    """What differs first, None when all events are equal, voxel by voxel.

    Args:
        one: the original.
        other: the copy; its events are in the same order, and those that cannot be read in the original are empty.
    """
    for name in ("image_size", "classes"):
        if getattr(one, name) != getattr(other, name):
            return f"{name}: {getattr(one, name)} and {getattr(other, name)}"
    if len(one) != len(other):
        return f"{len(one)} events and {len(other)}"
    with track("check", total=len(one)) as bar:
        for index in range(len(one)):
            found = _different(one, other, index)
            if found is not None:
                return f"event {index} ({one.key(index)}, {other.key(index)}): {found}"
            bar.advance()
    return None


def _different(one: Reader, other: Reader, index: int) -> str | None:
    copy = other.read(index)
    try:
        original = one.read(index)
    except BadEventError as error:
        return f"the original cannot be read ({error}), but the copy has {len(copy)} voxels" if len(copy) else None
    return difference(original, copy)


def difference(one: Event, other: Event) -> str | None:
    """What differs first in two events: voxels, energies, labels, particles; None when all values are equal.

    Values must be equal to the last bit, NaN to NaN; the types of label and particle columns may differ. An event
    without voxels may lack label columns, one without particles may lack particle columns.
    """
    for name in ("coords", "energy"):
        found = _column(name, getattr(one, name), getattr(other, name))
        if found:
            return found
    return _columns("label", one.labels, other.labels) or _columns("particle column", one.particles, other.particles)


def _columns(what: str, one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> str | None:
    rows = max((len(column) for column in (*one.values(), *other.values())), default=0)
    if not rows:
        return None
    if set(one) != set(other):
        return f"{what}s {sorted(one)} and {sorted(other)}"
    return next((text for name in sorted(one) if (text := _column(f"{what} {name}", one[name], other[name]))), None)


def _column(name: str, one: np.ndarray, other: np.ndarray) -> str | None:
    if one.shape != other.shape:
        return f"{name} has shape {one.shape} and {other.shape}"
    different = one != other
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        different &= ~(np.isnan(one) & np.isnan(other))
        different |= np.signbit(one) != np.signbit(other)  # zeros of another sign; the sign of NaN as well
    rows = np.flatnonzero(different.any(axis=tuple(range(1, one.ndim))))
    if not len(rows):
        return None
    first = int(rows[0])
    return f"{name} is {one[first].tolist()} and {other[first].tolist()} in row {first} ({len(rows)} rows differ)"

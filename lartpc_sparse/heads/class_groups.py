"""Semantic labels of a batch in the classes of a head, matched by name."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from lartpc_sparse.data.classes import TRACK_NAMES, class_table
from lartpc_sparse.schema import UserError

__all__ = ["TRACK_SHOWER_GROUPS", "check_known", "class_lookup", "regroup", "regroup_tensor"]

Groups = Mapping[str, tuple[str, ...]]

TRACK_SHOWER_GROUPS: dict[str, tuple[str, ...]] = {
    "shower": ("shower",),
    "track": TRACK_NAMES,
    "Michel": ("Michel",),
    "delta": ("delta",),
}
"""The four classes of the clustering literature, from either class scheme."""


def check_known(field: str, names: Iterable[str], classes: Iterable[str]) -> None:
    """Refuse settings for classes that a head does not have.

    Args:
        field: of the configuration that names them.
        names: that it names.
        classes: of the head.

    Raises:
        ValueError: one is not a class of the head.
    """
    known = list(classes)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{field} names {', '.join(unknown)}; the classes are {', '.join(known)}")


@functools.cache
def _lookup(classes: tuple[str, ...], groups: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[int, ...]:
    present: dict[str, list[str]] = {}
    for group, members in groups:
        present[group] = [member for member in members if member in classes]
        if not present[group]:
            raise UserError(
                f"the data has no class for '{group}' (looked for {', '.join(members)}); "
                f"its classes are {', '.join(classes) or 'none'}. Change the head's classes or the reader's scheme"
            )
    return tuple(class_table(classes, list(present), present).tolist())


def class_lookup(classes: tuple[str, ...], groups: Groups) -> Int64[np.ndarray, " L"]:
    """Label in `classes` -> number of the group that holds it, -1 for none; entry -1 (the last) is -1.

    Raises:
        UserError: a group has no member among `classes`, or two groups share one.
    """
    return np.array(_lookup(classes, tuple((name, tuple(members)) for name, members in groups.items())))


def regroup(labels: Int64[np.ndarray, " N"], classes: tuple[str, ...], groups: Groups) -> Int64[np.ndarray, " N"]:
    """Labels as numbers of groups; see `class_lookup`."""
    grouped: np.ndarray = class_lookup(classes, groups)[labels]
    return grouped


def regroup_tensor(labels: Int64[Tensor, " N"], classes: tuple[str, ...], groups: Groups) -> Int64[Tensor, " N"]:
    """`regroup` for tensors."""
    return torch.from_numpy(class_lookup(classes, groups)).to(labels.device)[labels]

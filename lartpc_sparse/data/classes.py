"""Class schemes by name, and how labels go from one scheme to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int, Int64

from lartpc_sparse.schema import UserError

__all__ = [
    "FIVE",
    "LARCV_SHAPES",
    "PILARNET",
    "SIX",
    "TRACK_NAMES",
    "class_table",
    "match_classes",
    "pid_of_pdg",
    "split_names",
    "split_track_class",
    "split_tracks",
]

FIVE = ("HIP", "MIP", "shower", "delta", "Michel")
"""Five classes of arXiv:2012.08513, in label priority order."""

SIX = (*FIVE, "low_energy")
"""The five classes and the low-energy deposits, which belong to no particle."""

TRACK_NAMES = ("track", "HIP", "MIP")
"""Classes of tracks, in whichever scheme."""

PILARNET = ("shower", "track", "Michel", "delta", "low_energy")
"""The semantic codes 0 to 4 of PILArNet-M and of larcv2 shapes."""

LARCV_SHAPES = (*PILARNET, "ghost", "unknown")
"""All shapes of larcv2 (`larcv::ShapeType_t`) since it knows Michels; before, 2 was unknown."""

_TO_SIX = np.array([SIX.index("shower"), -1, SIX.index("Michel"), SIX.index("delta"), SIX.index("low_energy"), -1])
_HIP_PID = (4,)
_MIP_PID = (2, 3)
_PID_OF_PDG = {22: 0, 11: 1, -11: 1, 13: 2, -13: 2, 211: 3, -211: 3, 2212: 4}


def split_tracks(
    semantic: Int[np.ndarray, " N"], pid: Int[np.ndarray, " N"]
) -> tuple[Int64[np.ndarray, " N"], tuple[str, ...]]:
    """PILArNet semantic codes to the six classes, tracks split by particle type.

    A track of a proton (pid 4) is HIP, of a muon or charged pion (pid 2, 3) MIP. A track of any other
    particle (a kaon, say) or without pid gets -1, "not labelled": its ionisation density is unknown, and
    a guess would teach the network a wrong answer.

    Args:
        semantic: indices into `PILARNET`, -1 not labelled.
        pid: 0 gamma, 1 electron, 2 muon, 3 pion, 4 proton, anything else: none of them.

    Returns:
        labels, indices into the second value, -1 not labelled; and the class names `SIX`.

    Raises:
        ValueError: a semantic code outside -1..4.
    """
    _check_range(semantic, PILARNET)
    labels = _TO_SIX[semantic].astype(np.int64)  # -1 picks the last entry, which is -1
    track = semantic == PILARNET.index("track")
    labels[track & np.isin(pid, _HIP_PID)] = SIX.index("HIP")
    labels[track & np.isin(pid, _MIP_PID)] = SIX.index("MIP")
    return labels, SIX


def pid_of_pdg(pdg: Int[np.ndarray, " P"]) -> Int64[np.ndarray, " P"]:
    """PDG codes to PILArNet's: 0 gamma, 1 electron, 2 muon, 3 charged pion, 4 proton, -1 any other."""
    pid = np.full(len(pdg), -1, dtype=np.int64)
    for code, name in _PID_OF_PDG.items():
        pid[pdg == code] = name
    return pid


def split_names(names: Sequence[str]) -> tuple[str, ...]:
    """Class names with HIP and MIP in place of `track`, those of `SIX` first and in its order."""
    left = ("HIP", "MIP", *(name for name in names if name != "track"))
    return (*(name for name in SIX if name in left), *(name for name in left if name not in SIX))


def split_track_class(
    semantic: Int[np.ndarray, " N"], names: Sequence[str], pid: Int[np.ndarray, " N"]
) -> Int64[np.ndarray, " N"]:
    """`split_tracks` for any scheme with a class `track`: indices into `split_names(names)`.

    Args:
        semantic: indices into `names`, -1 not labelled.
        names: class names of the data; `track` is one of them, HIP and MIP are not.
        pid: as for `split_tracks`, and with the same effect.

    Raises:
        ValueError: a label outside -1..len(names)-1.
    """
    _check_range(semantic, names)
    new = split_names(names)
    table = np.array([*(new.index(name) if name in new else -1 for name in names), -1])
    labels: Int64[np.ndarray, " N"] = table[semantic]
    track = semantic == list(names).index("track")
    labels[track & np.isin(pid, _HIP_PID)] = new.index("HIP")
    labels[track & np.isin(pid, _MIP_PID)] = new.index("MIP")
    return labels


def match_classes(
    labels: Int[np.ndarray, " N"],
    from_names: Sequence[str],
    to_names: Sequence[str],
    merge: Mapping[str, Sequence[str]] | None = None,
) -> Int64[np.ndarray, " N"]:
    """Labels of one class scheme as labels of another, matched by name.

    Args:
        labels: indices into `from_names`, -1 not labelled.
        from_names: class names of the data.
        to_names: class names wanted.
        merge: for a wanted name, the names of the data that it joins, such as
            `{"track": ("HIP", "MIP")}`; a wanted name that is not a key stands for itself.

    Returns:
        indices into `to_names`; -1 where the class of the data is not wanted.

    Raises:
        UserError: a name that the data does not have, or that is used twice; `merge` for a name not wanted.
        ValueError: a label outside -1..len(from_names)-1.

    Example:
        >>> match_classes(np.array([0, 1, 2, -1]), ("HIP", "MIP", "shower"), ("shower", "MIP"))
        array([-1,  1,  0, -1])
    """
    _check_range(labels, from_names)
    matched: Int64[np.ndarray, " N"] = class_table(from_names, to_names, merge)[labels]
    return matched


def class_table(
    from_names: Sequence[str], to_names: Sequence[str], merge: Mapping[str, Sequence[str]] | None = None
) -> Int64[np.ndarray, " K1"]:
    """The table behind `match_classes`: new label by old label; the last entry serves the old label -1.

    Raises:
        UserError: as for `match_classes`.
    """
    merge = merge or {}
    _refuse_unknown(merge, to_names, "the merged classes", "the wanted classes")
    table = np.full(len(from_names) + 1, -1, dtype=np.int64)
    for new, wanted in enumerate(to_names):
        sources = merge.get(wanted, (wanted,))
        _refuse_unknown(sources, from_names, "the wanted classes", "the classes of the data")
        for source in sources:
            old = list(from_names).index(source)
            if table[old] != -1:
                raise UserError(f"class '{source}' is asked for twice: for '{to_names[table[old]]}' and for '{wanted}'")
            table[old] = new
    return table


def _refuse_unknown(names: Sequence[str] | Mapping[str, object], known: Sequence[str], what: str, where: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            f"{what} name {', '.join(map(repr, unknown))}, not among {where}: {', '.join(known) or '(none)'}"
        )


def _check_range(labels: Int[np.ndarray, " N"], names: Sequence[str]) -> None:
    if len(labels) and not (labels.min() >= -1 and labels.max() < len(names)):
        raise ValueError(
            f"labels span {labels.min()}..{labels.max()}, expected -1..{len(names) - 1} for classes {tuple(names)}"
        )

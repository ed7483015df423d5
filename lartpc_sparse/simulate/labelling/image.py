"""From the deposits of a simulation to a labelled event in PILArNet-M semantics."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from lartpc_sparse.data.classes import PILARNET, split_tracks
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.simulate.labelling.ancestry import find_ancestry
from lartpc_sparse.simulate.labelling.candidates import find_candidates, sum_by
from lartpc_sparse.simulate.labelling.components import VoxelKeys
from lartpc_sparse.simulate.labelling.fragments import number_fragments
from lartpc_sparse.simulate.labelling.particle_table import particle_table
from lartpc_sparse.simulate.labelling.precedence import resolve
from lartpc_sparse.simulate.labelling.rules import LabelRules
from lartpc_sparse.simulate.labelling.truth import Deposits, Tracks

__all__ = ["labelled_event"]


def labelled_event(
    key: EventKey, tracks: Tracks, deposits: Deposits, image_size: tuple[int, ...], rules: LabelRules
) -> Event:
    """The image of an event with its labels and particles.

    Voxels stand in the order of their fragments, those of low energy first, and by their coordinates within one.
    `labels`: `semantic` (the six classes), `fragment` and `instance` (equal), `group` (the fragments of one particle),
    `interaction`, `pid`, all -1 for low energy; `dx` (path length of charged particles, mm) and `time` (of the first
    deposit, ns since the beginning of the event). `particles`: see `particle_table`.

    Raises:
        ValueError: deposits outside the image.
    """
    if not ((deposits.coords >= 0) & (deposits.coords < np.array(image_size))).all():
        raise ValueError(f"{key}: deposits outside the image of size {image_size}")
    voxels = VoxelKeys(image_size)
    keys, energy, dx, time, kept = _visible(voxels.encode(deposits.coords), deposits, rules.min_mev)
    ancestry = find_ancestry(tracks)
    shares = sum_by(
        ancestry.head[deposits.track[kept]],
        voxels.encode(deposits.coords[kept]),
        deposits.energy_mev[kept].astype(np.float64),
        voxels.count,
    )
    candidates = find_candidates(shares, tracks, ancestry, voxels, rules)
    fragments, fragment = number_fragments(candidates, resolve(candidates, keys, rules), tracks, ancestry)
    order = np.lexsort((keys, fragment))
    fragment = fragment[order]
    semantic, classes = split_tracks(
        _column(fragments.semantic, fragment, PILARNET.index("low_energy")), _column(fragments.pid, fragment, -1)
    )
    return Event(
        key=key,
        coords=voxels.decode(keys[order]).astype(np.int32),
        energy=energy[order].astype(np.float32),
        image_size=image_size,
        classes=classes,
        labels={
            "semantic": semantic,
            "instance": fragment,
            "fragment": fragment,
            "group": _column(fragments.group, fragment, -1),
            "interaction": _column(fragments.interaction, fragment, -1),
            "pid": _column(fragments.pid, fragment, -1),
            "dx": dx[order].astype(np.float32),
            "time": time[order].astype(np.float32),
        },
        particles=particle_table(tracks, fragments, fragment, split_tracks(fragments.semantic, fragments.pid)[0]),
    )


def _visible(
    keys: Int64[np.ndarray, " M"], deposits: Deposits, min_mev: float
) -> tuple[
    Int64[np.ndarray, " N"], Float64[np.ndarray, " N"], Float64[np.ndarray, " N"], Float64[np.ndarray, " N"], np.ndarray
]:
    """Voxels above the threshold, their energy, path length and time, and which deposits are in one."""
    unique, inverse = np.unique(keys, return_inverse=True)
    # Of nothing, bincount makes whole numbers.
    energy = np.bincount(inverse, deposits.energy_mev, minlength=len(unique)).astype(np.float64)
    dx = np.bincount(inverse, deposits.dx_mm, minlength=len(unique)).astype(np.float64)
    time = np.full(len(unique), np.inf)
    np.minimum.at(time, inverse, deposits.time_ns)
    visible = (energy >= min_mev) & (energy > 0)
    return unique[visible], energy[visible], dx[visible], time[visible], visible[inverse]


def _column(
    values: Int64[np.ndarray, " F"], fragment: Int64[np.ndarray, " N"], missing: int
) -> Int64[np.ndarray, " N"]:
    return np.asarray(np.append(values, missing)[fragment])

"""From the products of a larcv event to an `Event`: voxel ids to coordinates, sets of voxels to labels.

Everything is matched by voxel id, never by position, so that no label can shift. Whichever format the products came
from, the rules are the same:

- a voxel of the charge product that the class product lacks is an error, or not labelled (-1) on request;
- a voxel in no cluster has the labels -1; cluster voxels without charge are left out;
- the sets are aligned with the particles, with an optional catch-all at the end that is nobody's;
- a voxel in several sets belongs to the first of the highest precedence: track > Michel > shower > delta > low energy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64, Shaped, UInt64

from lartpc_sparse.data.classes import LARCV_SHAPES, pid_of_pdg, split_track_class
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.base import check_energy
from lartpc_sparse.data.readers.larcv_products import Products
from lartpc_sparse.data.readers.larcv_raw import Grid, RawEvent, Voxels, VoxelSets
from lartpc_sparse.schema import BadEventError

__all__ = ["LarcvClasses", "build_event", "image_size_differs", "match_ids"]

_PRECEDENCE = ("track", "Michel", "shower", "delta", "low_energy")
_RANK = {LARCV_SHAPES.index(name): rank for rank, name in enumerate(_PRECEDENCE)}
_LOWEST = len(_RANK)


class LarcvClasses:
    """Class scheme of the class product.

    Attributes:
        stored: names of the values 0, 1, ... in the file; empty: there is no class product.
        names: names of the labels that the reader gives.
        split: tracks become HIP and MIP.
    """

    def __init__(self, stored: tuple[str, ...], names: tuple[str, ...], *, split: bool) -> None:
        self.stored, self.names, self.split = stored, names, split


def match_ids(ids: UInt64[np.ndarray, " N"], among: UInt64[np.ndarray, " M"]) -> Int64[np.ndarray, " N"]:
    """Row of every id in `among`, -1 where it is not there.

    Raises:
        ValueError: `among` has an id twice.
    """
    if np.array_equal(ids, among) and (not len(ids) or (ids[1:] > ids[:-1]).all()):
        return np.arange(len(ids), dtype=np.int64)
    order = np.argsort(among, kind="stable")
    ordered = among[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise ValueError(f"voxel id {ordered[twice[0]]} occurs twice")
    if not len(among):
        return np.full(len(ids), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(ordered, ids), len(among) - 1)
    return np.where(ordered[place] == ids, order[place], -1)


def build_event(
    raw: RawEvent,
    products: Products,
    key: EventKey,
    image_size: tuple[int, ...],
    classes: LarcvClasses,
    *,
    unmatched: str,
) -> Event:
    """An event from its products.

    `labels`, as far as the products are there: `semantic` (index into `classes.names`); `instance` and `fragment`
    (number of the voxel set, `instance` -1 for low energy); `group`, `interaction`, `pid` of the particle of the
    set. `particles`: the columns of the particle product, and `pid`.

    Raises:
        BadEventError: products that do not fit together, or values that cannot be used.
    """
    if len(raw.energy.ids) and raw.energy.grid.image_size != image_size:
        raise image_size_differs(key, products.energy, raw.energy.grid.image_size, image_size)
    check_energy(key, raw.energy.values)
    coords = raw.energy.grid.coords(raw.energy.ids, key, products.energy)
    labels: dict[str, np.ndarray] = {}
    particles = dict(raw.particles or {})
    if "pdg" in particles:
        particles["pid"] = pid_of_pdg(particles["pdg"])
    if raw.clusters is not None:
        labels.update(_cluster_labels(raw, raw.clusters, products, key, particles))
    if raw.semantic is not None:
        names = (str(products.semantic), products.energy)
        semantic = _semantic(raw.energy, raw.semantic, key, names, stored=classes.stored, unmatched=unmatched)
        if "instance" in labels and "low_energy" in classes.stored:
            low_energy = semantic == classes.stored.index("low_energy")
            labels["instance"] = np.where(low_energy, -1, labels["instance"])
        if classes.split:
            none = np.full(len(semantic), -1, dtype=np.int64)
            semantic = split_track_class(semantic, classes.stored, labels.get("pid", none))
        labels = {"semantic": semantic, **labels}
    return Event(
        key=key,
        coords=coords,
        energy=raw.energy.values,
        image_size=image_size,
        classes=classes.names,
        labels=labels,
        particles=particles,
    )


def image_size_differs(key: EventKey, name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> BadEventError:
    """The error for an event whose image is not that of the first event."""
    return BadEventError(
        f"{key}: {name} has an image of size {found}, the first event has {expected}; read events of different sizes "
        "separately"
    )


def _check_same_grid(product: Voxels | VoxelSets, energy: Voxels, key: EventKey, names: tuple[str, str]) -> None:
    """Ids of two products name the same voxels only on the same grid."""
    if not len(product.ids) or not len(energy.ids):
        return
    one, other = product.grid, energy.grid
    if one.image_size != other.image_size or not _same_place(one, other):
        raise BadEventError(
            f"{key}: {names[0]} covers {one.lower}..{one.upper} in {one.image_size} voxels, but {names[1]} covers "
            f"{other.lower}..{other.upper} in {other.image_size}: their voxel ids differ; name products that belong "
            "together"
        )


def _same_place(one: Grid, other: Grid) -> bool:
    return bool(np.allclose((one.lower, one.upper), (other.lower, other.upper), rtol=1e-6, atol=1e-6))


def _semantic(
    energy: Voxels, semantic: Voxels, key: EventKey, names: tuple[str, str], *, stored: tuple[str, ...], unmatched: str
) -> Int64[np.ndarray, " N"]:
    """The values of the class product for the voxels of the charge product; `names` of both, classes first."""
    name = names[0]
    _check_same_grid(semantic, energy, key, names)
    whole = np.isfinite(semantic.values) & (semantic.values >= -1) & (semantic.values < len(stored))
    whole &= np.where(whole, semantic.values, 0) % 1 == 0
    if not whole.all():
        row = int(np.flatnonzero(~whole)[0])
        raise BadEventError(
            f"{key}: {name} is {semantic.values[row]} in row {row}, expected -1..{len(stored) - 1} for the classes "
            f"{', '.join(stored)}; give `classes` the names of the values 0, 1, ... if they are others"
        )
    rows = _rows(energy.ids, semantic.ids, key, name)
    missing = int((rows < 0).sum())
    if missing and unmatched == "error":
        raise BadEventError(
            f"{key}: {name} lacks {missing} of the {len(rows)} voxels of {names[1]}; name products that belong "
            "together, or leave those voxels without a label with `unmatched: unlabelled`"
        )
    labels: np.ndarray = np.append(semantic.values.astype(np.int64), -1)[rows]
    return labels


def _rows(ids: np.ndarray, among: np.ndarray, key: EventKey, name: str) -> Int64[np.ndarray, " N"]:
    try:
        return match_ids(ids, among)
    except ValueError as error:
        raise BadEventError(f"{key}: {name}: {error}; make the file again") from error


def _cluster_labels(
    raw: RawEvent, clusters: VoxelSets, products: Products, key: EventKey, particles: Mapping[str, np.ndarray]
) -> dict[str, Int64[np.ndarray, " N"]]:
    name = str(products.clusters)
    _check_same_grid(clusters, raw.energy, key, (name, products.energy))
    num_sets = len(clusters.offsets) - 1
    num_particles = len(next(iter(particles.values()), ())) if raw.particles is not None else None
    if num_particles is None or not num_sets:
        num_particles = num_sets
    elif num_sets not in (num_particles, num_particles + 1):
        raise BadEventError(
            f"{key}: {name} has {num_sets} voxel sets for {num_particles} particles of {products.particles}; name the "
            "particle product that belongs to it, or none (`particles: null`)"
        )
    shape = particles.get("shape", np.full(num_sets, -1))
    rank = np.array([*(_RANK.get(int(value), _LOWEST) for value in shape[:num_particles]), _LOWEST + 1])
    rows = _rows(clusters.ids, raw.energy.ids, key, products.energy)
    fragment = _owners(len(raw.energy.ids), rows, clusters.offsets, rank)
    fragment = np.where(fragment >= num_particles, -1, fragment)  # the catch-all
    labels = {"instance": fragment, "fragment": fragment}
    if raw.semantic is None and "shape" in particles:
        low_energy = shape == LARCV_SHAPES.index("low_energy")
        labels["instance"] = np.where(np.append(low_energy, False)[fragment], -1, fragment)
    for label, column in (("group", "group_id"), ("interaction", "interaction_id"), ("pid", "pid")):
        if column in particles:
            labels[label] = np.append(particles[column].astype(np.int64), -1)[fragment]
    return labels


def _owners(
    num_voxels: int,
    rows: Int64[np.ndarray, " M"],
    offsets: Int64[np.ndarray, " K1"],
    rank: Shaped[np.ndarray, " P1"],
) -> Int64[np.ndarray, " N"]:
    """Number of the set that each voxel belongs to, -1 for none.

    Args:
        num_voxels: N.
        rows: voxel of every member of the sets, -1: none.
        offsets: set k has the members offsets[k]:offsets[k + 1].
        rank: of every set; a lower one comes first.
    """
    owner = np.full(num_voxels, -1, dtype=np.int64)
    of_member = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[rows >= 0]
    order = np.lexsort((-of_member, -rank[of_member]))  # the last assignment to a voxel stays
    owner[rows[rows >= 0][order]] = of_member[order]
    return owner

"""From the products of one SPINE event to an `Event`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, Int64, Num, Shaped

from lartpc_sparse.data.classes import PILARNET, split_tracks
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers.base import check_energy, whole_coords
from lartpc_sparse.data.readers.spine_layout import Product, Table
from lartpc_sparse.schema import BadEventError

__all__ = ["Sources", "decode_spine"]

UNLABELLED = (5, 6)
"""Shape codes of larcv and SPINE that say nothing: ghost and unknown."""
_LARGEST = 2.0**31


@dataclass(frozen=True)
class Sources:
    """Where the columns of an event come from in one file.

    Attributes:
        charge: coordinates and energies, and the place of the energy.
        semantic: shape codes and their place; None: not there.
        clusters: product of the cluster labels; None: not there.
        labels: label -> place of the feature in `clusters`.
        expanded: label -> column of the particle table, which each voxel takes from its particle.
        particle_index: place of the particle's row in `clusters`.
        particles: the particle table.
    """

    charge: tuple[Product, int]
    semantic: tuple[Product, int] | None
    clusters: Product | None
    labels: Mapping[str, int]
    expanded: Mapping[str, str]
    particle_index: int | None
    particles: Table | None


def decode_spine(sources: Sources, key: EventKey, image_size: tuple[int, ...], classes: tuple[str, ...]) -> Event:
    """An event from the products of a file.

    Labels belong to the voxel at the same place, whatever the order of the rows; a voxel that a label product does not
    have is -1 there. With `pid`, tracks are split into HIP and MIP.

    Raises:
        BadEventError: coordinates that are not whole or outside the image, energies that are not finite, labels that
            are not whole or unknown, a particle that is not in the table, a label product with a place twice.
    """
    product, place = sources.charge
    raw, features = product.read(key)
    coords = whole_coords(key, raw, image_size)
    energy = features[:, place].astype(np.float32)
    check_energy(key, energy)
    particles = {} if sources.particles is None else sources.particles.read(key)
    labels = _cluster_labels(sources, key, image_size, coords, particles)
    if sources.semantic is not None:
        semantic, place = sources.semantic
        where, values = semantic.read(key)
        rows = _rows_of(key, semantic.rows.name, whole_coords(key, where, image_size), coords, image_size)
        labels["semantic"] = _taken(_whole(key, semantic.rows.name, values[:, place]), rows)
    if "semantic" in labels:
        labels["semantic"] = _known(key, labels["semantic"])
        low_energy = labels["semantic"] == PILARNET.index("low_energy")
        if "pid" in labels:
            labels["semantic"], _ = split_tracks(labels["semantic"], labels["pid"])
        if "instance" in labels:
            labels["instance"] = np.where(low_energy, -1, labels["instance"])
    return Event(
        key=key,
        coords=coords,
        energy=energy,
        image_size=image_size,
        classes=classes,
        labels=labels,
        particles=particles,
    )


def _cluster_labels(
    sources: Sources,
    key: EventKey,
    image_size: tuple[int, ...],
    coords: Int32[np.ndarray, "N D"],
    particles: Mapping[str, Shaped[np.ndarray, "P ..."]],
) -> dict[str, Int64[np.ndarray, " N"]]:
    if sources.clusters is None:
        return {}
    name = sources.clusters.rows.name
    where, features = sources.clusters.read(key)
    rows = _rows_of(key, name, whole_coords(key, where, image_size), coords, image_size)
    found = {
        label: _taken(_whole(key, f"{name} {label}", features[:, place]), rows)
        for label, place in sources.labels.items()
    }
    if sources.particle_index is not None:
        index = _taken(_whole(key, f"{name} particle_index", features[:, sources.particle_index]), rows)
        count = max((len(column) for column in particles.values()), default=0)
        if len(index) and not (index.min() >= -1 and index.max() < count):
            raise BadEventError(
                f"{key}: {name} particle_index spans {index.min()}..{index.max()} for {count} particles"
            )
        for label, column in sources.expanded.items():
            values = np.append(_whole(key, f"{name} particles {column}", particles[column]), -1)
            found[label] = values[index]  # -1 picks the last entry, which is -1
    return found


def _rows_of(
    key: EventKey,
    name: str,
    where: Int32[np.ndarray, "M D"],
    coords: Int32[np.ndarray, "N D"],
    image_size: tuple[int, ...],
) -> Int64[np.ndarray, " N"]:
    """Row of the label product for every voxel, -1 where it has none."""
    if where.shape == coords.shape and np.array_equal(where, coords):
        return np.arange(len(coords), dtype=np.int64)
    if not len(where):
        return np.full(len(coords), -1, dtype=np.int64)
    ids, wanted = (np.ravel_multi_index(tuple(places.T), image_size) for places in (where, coords))
    order = np.argsort(ids, kind="stable")
    ids = ids[order]
    if (ids[1:] == ids[:-1]).any():
        row = int(order[1:][ids[1:] == ids[:-1]][0])
        raise BadEventError(f"{key}: {name} has the voxel {where[row].tolist()} twice, so its label is not certain")
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    rows: Int64[np.ndarray, " N"] = np.where(ids[at] == wanted, order[at], -1)
    return rows


def _taken(values: Int64[np.ndarray, " M"], rows: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    taken: Int64[np.ndarray, " N"] = np.append(values, -1)[rows]
    return taken


def _whole(key: EventKey, name: str, values: Num[np.ndarray, " M"]) -> Int64[np.ndarray, " M"]:
    good = np.abs(values.astype(np.float64)) < _LARGEST  # False for NaN
    good &= values == np.rint(values)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BadEventError(f"{key}: {name} is {values[row]} in row {row}, expected a whole number")
    whole: Int64[np.ndarray, " M"] = values.astype(np.int64)
    return whole


def _known(key: EventKey, semantic: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    semantic = np.where(np.isin(semantic, UNLABELLED), -1, semantic)
    good = (semantic >= -1) & (semantic < len(PILARNET))
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BadEventError(f"{key}: semantic is {semantic[row]} in row {row}, expected -1..{max(UNLABELLED)}")
    return semantic

"""larcv files of both formats made for tests: ROOT as far as uproot writes it, HDF5 with h5py.

In the ROOT files every leaf is a branch of its own with the name that larcv gives the leaf; its baskets are as ROOT
writes them. What larcv stores member by member goes in as bytes made by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import uproot

from lartpc_sparse.data.larcv_tables import EVENT_ID, EXTENTS, ID_EXTENTS, PARTICLE, VOXEL, image_meta
from lartpc_sparse.data.readers.larcv_memberwise import encode_images, encode_voxel_sets

SIZE = (16, 12, 10)
SHAPES = ("shower", "track", "Michel", "delta", "low_energy")
PDG = (11, 13, -211, 2212, 22, 321)


@dataclass
class MadeEvent:
    """Products of one event, voxels by coordinates: the ids depend on the format."""

    coords: np.ndarray
    values: np.ndarray
    semantic: np.ndarray
    sets: list[np.ndarray]  # coordinates of each voxel set
    particles: dict[str, np.ndarray]
    size: tuple[int, ...] = SIZE
    number: int = 0
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def set_offsets(self) -> np.ndarray:
        return np.cumsum([0, *map(len, self.sets)], dtype=np.int64)


def made_event(seed: int, *, size: tuple[int, ...] = SIZE, clusters: int = 5, catch_all: bool = True) -> MadeEvent:
    """Random voxels; sets overlap, hold voxels without charge, and leave some voxels out."""
    rng = np.random.default_rng(seed)
    total = int(np.prod(size))
    count = int(rng.integers(20, 60))
    places = rng.choice(total, count, replace=False)
    others = np.setdiff1d(np.arange(total), places)
    pool = np.concatenate([places, places, others[:10]])
    sets = [rng.choice(pool, int(rng.integers(0, 15)), replace=False) for _ in range(clusters + catch_all)]
    as_coords = lambda where: np.stack(np.unravel_index(np.unique(where), size), axis=1)  # noqa: E731
    shape = rng.integers(0, 5, clusters)
    invalid = np.iinfo(np.int64).max
    particles = {
        "id": np.arange(clusters),
        "shape": shape,
        "pdg": rng.choice(PDG, clusters),
        "energy_init": rng.uniform(1, 1000, clusters),
        "vtx_x": rng.normal(size=clusters),
        "group_id": rng.choice([0, 1, 2, invalid], clusters),
        "interaction_id": rng.choice([0, 1, invalid], clusters),
    }
    coords = as_coords(places)
    return MadeEvent(
        coords=coords,
        values=rng.uniform(0.1, 9, len(coords)).astype(np.float32),
        semantic=rng.integers(0, 5, len(coords)),
        sets=[as_coords(where) for where in sets],
        particles=particles,
        size=size,
        number=seed,
    )


def empty_event(number: int = 0, size: tuple[int, ...] = SIZE) -> MadeEvent:
    nothing = np.zeros((0, len(size)), dtype=np.int64)
    none = np.zeros(0)
    columns = ("id", "shape", "pdg", "energy_init", "vtx_x", "group_id", "interaction_id")
    return MadeEvent(nothing, none.astype(np.float32), none, [], dict.fromkeys(columns, none), size, number)


def ids_of(coords: np.ndarray, size: Sequence[int], order: str) -> np.ndarray:
    """`F`: first axis fastest (larcv2 in 3D), `C`: last axis fastest."""
    if not len(coords):
        return np.zeros(0, dtype=np.uint64)
    return np.ravel_multi_index(tuple(coords.T), tuple(size), order=order).astype(np.uint64)


def write_trees(path: Path, trees: Mapping[str, Mapping[str, Any]], *, events_per_basket: int = 2) -> Path:
    """Trees of columns; a list of arrays is a jagged column."""
    with uproot.recreate(path, compression=uproot.ZLIB(1)) as file:
        for name, columns in trees.items():
            arrays = {key: ak.Array(list(c)) if isinstance(c, list) else np.asarray(c) for key, c in columns.items()}
            types = {
                key: f"var * {c[0].dtype}" if isinstance(c, list) else str(np.asarray(c).dtype)
                for key, c in columns.items()
            }
            tree = file.mktree(name, types)
            total = len(next(iter(arrays.values())))
            for start in range(0, total, events_per_basket):
                part = slice(start, start + events_per_basket)
                tree.extend({key: ak.values_astype(a[part], columns[key][0].dtype) if isinstance(columns[key], list)
                             else a[part] for key, a in arrays.items()})  # fmt: skip
    return path


def _header(events: Sequence[MadeEvent]) -> dict[str, Any]:
    numbers = np.array([event.number for event in events], dtype=np.uint64)
    return {"_run": np.ones_like(numbers), "_subrun": numbers * 0, "_event": numbers}


def _meta_3d(events: Sequence[MadeEvent]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for i, axis in enumerate("xyz"):
        size = np.array([event.size[i] for event in events])
        columns[f"_meta._p1.{axis}"] = np.zeros(len(events))
        columns[f"_meta._p2.{axis}"] = size * 0.3
        columns[f"_meta._{axis}num"] = size.astype(np.uint64)
    for event, entry in zip(events, range(len(events)), strict=True):
        for name, value in event.meta.items():
            columns[name][entry] = value
    return columns


def sparse3d_tree(events: Sequence[MadeEvent], values: Sequence[np.ndarray]) -> dict[str, Any]:
    ids = [ids_of(event.coords, event.size, "F") for event in events]
    orders = [np.argsort(i) for i in ids]
    return {
        **_header(events),
        "_voxel_v": np.array([len(i) for i in ids], dtype=np.int32),
        "_voxel_v._id": [i[o] for i, o in zip(ids, orders, strict=True)],
        "_voxel_v._value": [v[o].astype(np.float32) for v, o in zip(values, orders, strict=True)],
        **_meta_3d(events),
    }


def cluster3d_tree(events: Sequence[MadeEvent]) -> dict[str, Any]:
    packed = []
    for event in events:
        ids = [np.sort(ids_of(part, event.size, "F")) for part in event.sets]
        flat = np.concatenate([np.zeros(0, dtype=np.uint64), *ids])
        packed.append(encode_voxel_sets(flat, np.ones(len(flat), dtype=np.float32), event.set_offsets))
    return {
        **_header(events),
        "_voxel_vv._id": [np.arange(len(event.sets), dtype=np.uint64) for event in events],
        "_voxel_vv._voxel_v": packed,
        **_meta_3d(events),
    }


LEAF_TYPES = {"id": np.uint64, "shape": np.int32, "pdg": np.int32, "group_id": np.uint64, "interaction_id": np.uint64}


def particle_tree(events: Sequence[MadeEvent]) -> dict[str, Any]:
    columns: dict[str, Any] = _header(events)
    for name in events[0].particles:
        leaf = f"_part_v._{name}".replace("vtx_", "vtx._")
        columns[leaf] = [event.particles[name].astype(LEAF_TYPES.get(name, np.float64)) for event in events]
    return columns


def write_root(path: Path, events: Sequence[MadeEvent], *, leave_out: Sequence[str] = (), **options: Any) -> Path:
    """A file with the products of PILArNet v10's successors."""
    trees = {
        "sparse3d_pcluster_tree": sparse3d_tree(events, [event.values for event in events]),
        "sparse3d_pcluster_semantics_tree": sparse3d_tree(events, [event.semantic for event in events]),
        "cluster3d_pcluster_tree": cluster3d_tree(events),
        "particle_pcluster_tree": particle_tree(events),
    }
    return write_trees(path, {name: tree for name, tree in trees.items() if name not in leave_out}, **options)


def plane_meta(vector: str, ids: Sequence[Sequence[int]], columns: int, rows: int) -> dict[str, Any]:
    each = lambda value, kind: [np.full(len(i), value, dtype=kind) for i in ids]  # noqa: E731
    return {
        f"{vector}._meta._id": [np.array(i, dtype=np.uint16) for i in ids],
        f"{vector}._meta._col_count": each(columns, np.uint64),
        f"{vector}._meta._row_count": each(rows, np.uint64),
        **{f"{vector}._meta._p1.{axis}": each(0.0, np.float64) for axis in "xy"},
        f"{vector}._meta._p2.x": each(columns, np.float64),
        f"{vector}._meta._p2.y": each(rows, np.float64),
    }


def image2d_tree(images: Sequence[Sequence[np.ndarray]]) -> dict[str, Any]:
    """`images[event][plane]` of shape (columns, rows)."""
    columns, rows = images[0][0].shape
    numbers = np.arange(len(images), dtype=np.uint64)
    return {
        **{"_run": numbers * 0, "_subrun": numbers * 0, "_event": numbers},
        "_image_v._img": [encode_images([plane.astype(np.float32).ravel() for plane in event]) for event in images],
        **plane_meta("_image_v", [range(len(event)) for event in images], columns, rows),
    }


def sparse2d_tree(images: Sequence[Sequence[np.ndarray]], ids: Sequence[int]) -> dict[str, Any]:
    """Pixels other than 0 of `images[event][plane]`; plane p has the projection id `ids[p]`."""
    columns, rows = images[0][0].shape
    packed = []
    for event in images:
        places = [np.flatnonzero(plane) for plane in event]
        values = [plane.ravel()[place] for plane, place in zip(event, places, strict=True)]
        offsets = np.cumsum([0, *map(len, places)], dtype=np.int64)
        flat = np.concatenate(places).astype(np.uint64), np.concatenate(values).astype(np.float32)
        packed.append(encode_voxel_sets(*flat, offsets))
    numbers = np.arange(len(images), dtype=np.uint64)
    return {
        **{"_run": numbers * 0, "_subrun": numbers * 0, "_event": numbers},
        "_tensor_v._voxel_v": packed,
        **plane_meta("_tensor_v", [ids for _ in images], columns, rows),
    }


def _table(group: h5py.Group, name: str, rows: Sequence[Any], dtype: np.dtype[Any]) -> None:
    data = np.array(list(rows), dtype=dtype)
    group.create_dataset(name, data=data, chunks=(10,), maxshape=(None,), compression="gzip", compression_opts=1)


def _meta_rows(events: Sequence[MadeEvent]) -> list[Any]:
    return [(1, 0, np.array(event.size) * 0.3, event.size, np.zeros(len(event.size))) for event in events]


def _voxel_rows(ids: np.ndarray, values: np.ndarray) -> list[tuple[int, float]]:
    return list(zip(ids.tolist(), values.tolist(), strict=True))


def write_sparse(file: h5py.File, product: str, events: Sequence[MadeEvent], values: Sequence[np.ndarray]) -> None:
    group = file.create_group(f"Data/{product}_group")
    rows, extents = [], []
    for event, column in zip(events, values, strict=True):
        ids = ids_of(event.coords, event.size, "C")
        order = np.argsort(ids)
        extents.append((len(rows), len(ids), 0))
        rows += _voxel_rows(ids[order], column[order])
    _table(group, "extents", [(i, 1) for i in range(len(events))], EXTENTS)
    _table(group, "voxel_extents", extents, ID_EXTENTS)
    _table(group, "image_meta", _meta_rows(events), image_meta(len(events[0].size)))
    _table(group, "voxels", rows, VOXEL)


def write_clusters(file: h5py.File, product: str, events: Sequence[MadeEvent]) -> None:
    group = file.create_group(f"Data/{product}_group")
    rows, sets, planes = [], [], []
    for event in events:
        planes.append((len(sets), len(event.sets), 0))
        for number, part in enumerate(event.sets):
            ids = np.sort(ids_of(part, event.size, "C"))
            sets.append((len(rows), len(ids), number))
            rows += _voxel_rows(ids, np.ones(len(ids)))
    _table(group, "extents", [(i, 1) for i in range(len(events))], EXTENTS)
    _table(group, "projection_extents", planes, ID_EXTENTS)
    _table(group, "cluster_extents", sets, ID_EXTENTS)
    _table(group, "image_meta", _meta_rows(events), image_meta(len(events[0].size)))
    _table(group, "voxels", rows, VOXEL)


NUMBERS = np.dtype([("group_id", "<u8"), ("interaction_id", "<u8")])
"""Fields that larcv 3.5.1 does not have; a reader takes fields by name."""


def write_particles(file: h5py.File, product: str, events: Sequence[MadeEvent]) -> None:
    group = file.create_group(f"Data/{product}_group")
    count = sum(len(event.particles["id"]) for event in events)
    rows = np.zeros(count, dtype=[*((name, PARTICLE[name]) for name in PARTICLE.names or ()), *NUMBERS.descr])
    extents, first = [], 0
    for event in events:
        n = len(event.particles["id"])
        extents.append((first, n))
        part = rows[first : first + n]
        for name in ("id", "shape", "pdg", "energy_init", *(NUMBERS.names or ())):
            part[name] = event.particles[name].astype(rows.dtype[name])
        part["vtx"]["x"] = event.particles["vtx_x"]
        first += n
    _table(group, "extents", extents, EXTENTS)
    _table(group, "particles", rows, rows.dtype)


def write_larcv3(path: Path, events: Sequence[MadeEvent]) -> Path:
    """A file as larcv3 writes it, with the products of `write_root`."""
    dim = len(events[0].size)
    with h5py.File(path, "w") as file:
        ids = np.array([(1, 0, event.number) for event in events], dtype=EVENT_ID)
        file.create_dataset("Events/event_id", data=ids, chunks=(10,), maxshape=(None,))
        write_sparse(file, f"sparse{dim}d_pcluster", events, [event.values for event in events])
        semantic = [event.semantic.astype(np.float32) for event in events]
        write_sparse(file, f"sparse{dim}d_pcluster_semantics", events, semantic)
        write_clusters(file, f"cluster{dim}d_pcluster", events)
        write_particles(file, "particle_pcluster", events)
    return path

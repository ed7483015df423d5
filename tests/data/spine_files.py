"""Writes SPINE files by the documented layout of version 2, from events whose content the tests know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import yaml

PARTICLE = np.dtype(
    [
        ("particle", "<i8"),
        ("group", "<i8"),
        ("ancestor", "<i8"),
        ("interaction", "<i8"),
        ("nu", "<i8"),
        ("pid", "<i8"),
        ("group_primary", "<i8"),
        ("interaction_primary", "<i8"),
        ("vertex", "<f4", (3,)),
        ("momentum", "<f8"),
        ("energy_init", "<f8"),
        ("shape", "<i8"),
        ("_var_offsets_0", "<i8", (2,)),
    ]
)
META = np.dtype([("lower", "<f4", (3,)), ("upper", "<f4", (3,)), ("size", "<f4", (3,)), ("count", "<i8", (3,))])


@dataclass(frozen=True)
class SpineEvent:
    """What one event holds: voxels, codes, cluster and particle of each voxel, the particle table."""

    coords: np.ndarray  # (N, 3)
    energy: np.ndarray  # (N,)
    shape: np.ndarray  # (N,)
    cluster: np.ndarray  # (N,)
    particle: np.ndarray  # (N,) row of the table, -1 none
    particles: np.ndarray  # (P,) PARTICLE


def spine_event(seed: int, voxels: int = 20, particles: int = 3, size: int = 16) -> SpineEvent:
    """A random event without a voxel twice."""
    rng = np.random.default_rng(seed)
    where = rng.choice(size**3, voxels, replace=False)
    table = np.zeros(particles, dtype=PARTICLE)
    for name in ("particle", "group", "interaction"):
        table[name] = rng.integers(0, 50, particles)
    table["pid"] = rng.integers(-1, 6, particles)
    table["shape"] = rng.integers(0, 4, particles)
    table["vertex"] = rng.uniform(0, 16, (particles, 3))
    table["momentum"] = np.nan
    particle = rng.integers(-1, particles, voxels)
    shape = np.where(particle < 0, 4, table["shape"][particle]) if particles else np.full(voxels, 4)
    return SpineEvent(
        np.stack(np.unravel_index(where, (size,) * 3), axis=1),
        rng.uniform(0.05, 5, voxels).astype(np.float32),
        shape,
        particle.copy(),
        particle,
        table,
    )


def add_rows(
    group: h5py.Group, name: str, rows: Sequence[np.ndarray], kind: str, attributes: Mapping[str, object] | None = None
) -> None:
    """One set of rows with its offsets."""
    group.attrs["kind"] = kind
    group.attrs["scalar"] = False
    if attributes is not None:
        group.attrs["product_metadata"] = yaml.safe_dump(dict(attributes))
    group.create_dataset(name, data=np.concatenate(rows), maxshape=(None, *rows[0].shape[1:]), chunks=True)
    group["event_offsets"] = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    if kind == "objects":
        group.attrs["class_name"] = "ParticleLabel"
        group.create_group("variables")


def tensor(width: int, **fields: int) -> dict[str, object]:
    """Metadata of a tensor product."""
    schema = {
        "coordinate_groups": {"points": list(range(width))},
        "feature_fields": {name: [place] for name, place in fields.items()},
    }
    return {"product_type": "tensor", "coordinate_width": width, "has_meta": True, "schema": schema}


def write_spine(path: Path, events: Sequence[SpineEvent], *, size: int = 16, shuffle: bool = False) -> Path:
    """Write a file; `shuffle` puts the rows of each label product into an order of its own."""
    rng = np.random.default_rng(7)

    def mixed(rows: np.ndarray) -> np.ndarray:
        return rng.permutation(rows) if shuffle else rows

    with h5py.File(path, "w") as file:
        file.create_group("info").attrs.update({"format_version": 2, "complete": True, "version": "test"})
        file["events"] = np.arange(len(events))
        products = file.create_group("products")
        data = products.create_group("data")
        charge = [np.column_stack([e.coords, e.energy]).astype(np.float32) for e in events]
        add_rows(data, "values", charge, "array", tensor(3, value=0))
        meta = np.zeros(1, dtype=META)
        meta["size"], meta["count"], meta["upper"] = 0.3, size, 0.3 * size
        add_rows(data.create_group("meta"), "fixed", [meta] * len(events), "objects")
        codes = [mixed(np.column_stack([e.coords, e.shape]).astype(np.float32)) for e in events]
        add_rows(products.create_group("seg_label"), "values", codes, "array", tensor(3, shape=0))
        labels = products.create_group("clust_label")
        rows = [mixed(np.column_stack([e.coords, e.energy, e.cluster, e.particle]).astype(np.float32)) for e in events]
        metadata = {"product_type": "cluster_label", "has_particles": True, "has_meta": False}
        add_rows(labels, "values", rows, "array", metadata)
        add_rows(labels.create_group("particles"), "fixed", [e.particles for e in events], "objects")
    return path

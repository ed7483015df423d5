"""Reader of SPINE HDF5 files, version 2 (DeepLearnPhysics/spine; products with offsets, see `spine_layout`).

What was verified: the layout was read in the public source of SPINE's writer and reader (src/spine/io/write/hdf5 and
read/hdf5, product backend; src/spine/data/product). No file written by SPINE was at hand; the tests write files by
that layout. Files of version 1 (region references) are refused.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from lartpc_sparse.data.classes import PILARNET, SIX
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers.count_cache import FileCount
from lartpc_sparse.data.readers.counted_events import CountedEvents
from lartpc_sparse.data.readers.files import (
    FileReaderConfig,
    OpenFiles,
    damage_named,
    resolve_files,
)
from lartpc_sparse.data.readers.spine_event import Sources, decode_spine
from lartpc_sparse.data.readers.spine_layout import Product, SpineFile, Table
from lartpc_sparse.schema import UserError

__all__ = ["SpineConfig", "SpineReader"]

SEMANTIC, CLUSTERS = "seg_label", "clust_label"
_OWN = {"instance": "cluster"}
_OF_PARTICLES = ("group", "interaction", "pid", "particle")


class SpineConfig(FileReaderConfig):
    """SPINE HDF5 files of version 2, with the products of its larcv parsers.

    Coordinates must be voxel indices, as in files of parsed data (`data`, `seg_label`, `clust_label`); points in cm, as
    in the `points` of reconstruction output, are refused because they are not whole numbers.
    """

    kind: Literal["spine_hdf5"] = "spine_hdf5"
    charge: str = Field(default="data", description="product with coordinates and value of each voxel")
    charge_feature: str | int = Field(
        default=0, description="its feature that is the energy (MeV, or the detector's units): name, or place from 0"
    )
    semantic: str | None = Field(
        default=None,
        description="product with the shape codes (0 shower, 1 track, 2 Michel, 3 delta, 4 low energy, 5 ghost and "
        "6 unknown: not labelled); by default seg_label if it is there, else the shape of the particle table",
    )
    semantic_feature: str | int = Field(default=0, description="its feature with the code: name, or place from 0")
    clusters: str | None = Field(
        default=None, description="product with the cluster labels; by default clust_label if it is there"
    )
    labels: dict[str, str | int] | None = Field(
        default=None,
        description="label -> feature of `clusters` (name, or place from 0) or column of its particles; by default "
        "instance (cluster), group, interaction, pid and particle, as far as they are there",
    )
    image_size: tuple[int, ...] | None = Field(
        default=None, description="voxels along each axis; by default `count` of the table `meta` of `charge`"
    )

    def build(self) -> SpineReader:
        """Open the files.

        Raises:
            UserError: see `ReaderConfig.build`.
        """
        return SpineReader(resolve_files(self.files), self)


class SpineReader(CountedEvents):
    """Events of SPINE files: six classes where voxels have a pid, else PILArNet's five.

    Args:
        files: paths, in order.
        config: products and columns to use; its `files` are not looked at.

    Raises:
        UserError: a file that is missing, damaged or of another format, a product or feature that is not there, no
            image size, or files whose image sizes or classes differ.
    """

    def __init__(self, files: tuple[str, ...], config: SpineConfig) -> None:
        visit = partial(_visit, config=config)
        super().__init__(files, config, visit, "spine 1", may_differ=("voxel_size_mm",))
        self._files: OpenFiles[_OpenSpine] = OpenFiles(partial(_OpenSpine, config=config))

    def read(self, index: int) -> Event:
        """One event.

        Raises:
            BadEventError: see `decode_spine`; or data that cannot be read.
            UserError: the file is damaged.
        """
        key = self._index.key(index)
        sources = self._files.get(key.file).sources
        return decode_spine(sources, key, self.image_size, self.classes)


class _OpenSpine:
    """One open file with the sources of its columns."""

    def __init__(self, path: str, config: SpineConfig) -> None:
        self.file = SpineFile(path)
        self.sources = _sources(self.file, config)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _sources(file: SpineFile, config: SpineConfig) -> Sources:
    charge = file.product(config.charge)
    semantic = _named(file, config.semantic, SEMANTIC)
    clusters = _named(file, config.clusters, CLUSTERS)
    particles = None if clusters is None else file.table(f"{clusters.rows.name}/particles")
    labels, expanded = ({}, {}) if clusters is None else _label_sources(file, config, clusters, particles)
    index = None if clusters is None or particles is None else clusters.fields.get("particle_index")
    if index is None:
        expanded = {}
    elif semantic is None and particles is not None and "shape" in particles.columns:
        expanded = {**expanded, "semantic": "shape"}
    return Sources(
        charge=(charge, charge.place(config.charge_feature)),
        semantic=None if semantic is None else (semantic, semantic.place(config.semantic_feature)),
        clusters=clusters,
        labels=labels,
        expanded=expanded,
        particle_index=index,
        particles=particles,
    )


def _named(file: SpineFile, name: str | None, usual: str) -> Product | None:
    if name is None and usual not in file.keys:
        return None
    return file.product(name or usual)


def _label_sources(
    file: SpineFile, config: SpineConfig, clusters: Product, particles: Table | None
) -> tuple[dict[str, int], dict[str, str]]:
    """Label -> place of a feature; label -> column of the particle table."""
    of_particles = () if particles is None else particles.columns
    if config.labels is None:
        names = {**_OWN, **{name: name for name in _OF_PARTICLES}}
        labels = {label: clusters.fields[name] for label, name in names.items() if name in clusters.fields}
        return labels, {label: name for label, name in names.items() if name in of_particles and label not in labels}
    labels, expanded = {}, {}
    for label, source in config.labels.items():
        if isinstance(source, str) and source not in clusters.fields and source in of_particles:
            expanded[label] = source
        else:
            labels[label] = clusters.place(source)
    if expanded and "particle_index" not in clusters.fields:
        raise UserError(
            f"{file.path}: labels {sorted(expanded)} come from the particle table, but {clusters.rows.name} does not "
            "say which particle a voxel belongs to"
        )
    return labels, expanded


def _visit(path: str, config: SpineConfig) -> FileCount:
    opened = _OpenSpine(path, config)
    try:
        sources = opened.sources
        labels = {*sources.labels, *sources.expanded, *(("semantic",) if sources.semantic else ())}
        classes = () if "semantic" not in labels else SIX if "pid" in labels else PILARNET
        image_size, voxel_size_mm = _meta(opened.file, config)
        if len(image_size) != sources.charge[0].width:
            raise UserError(
                f"{path}: product {config.charge} has {sources.charge[0].width} coordinates, the image "
                f"{len(image_size)} axes; correct image_size"
            )
        facts = {"image_size": image_size, "classes": classes, "voxel_size_mm": voxel_size_mm}
        return FileCount(opened.file.num_events, np.diff(sources.charge[0].rows.offsets), json.dumps(facts))
    finally:
        opened.close()


def _meta(file: SpineFile, config: SpineConfig) -> tuple[tuple[int, ...], float | None]:
    """Image size and edge of a voxel in mm, the same in all events."""
    table = file.table(f"{config.charge}/meta")
    if table is None or not len(table.rows.data):
        if config.image_size is None:
            raise UserError(f"{file.path}: product {config.charge} has no `meta`; give the reader image_size")
        return config.image_size, None
    with damage_named(file.path, f"{config.charge}/meta"):
        counts, sizes = (np.unique(table.rows.data[name], axis=0) for name in ("count", "size"))
    if config.image_size is None and len(counts) > 1:
        raise UserError(
            f"{file.path} has images of {len(counts)} sizes, {counts[:2].tolist()}; give the reader image_size"
        )
    size = config.image_size or tuple(int(count) for count in counts[0])
    same = len(np.unique(sizes)) == 1 and bool(np.isfinite(sizes).all())
    return size, float(np.float32(sizes.flat[0]) * 10) if same else None

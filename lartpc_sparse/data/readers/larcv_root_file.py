"""One open larcv2 file: trees with `sparse3d`, `sparse2d`, `image2d`, `cluster3d`, `particle`.

A product is a tree `<kind>_<producer>_tree` whose branch is split into leaves (`_voxel_v._id`, ...); uproot reads
them, except for vectors inside vectors (`lartpc_sparse.data.readers.larcv_memberwise`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from jaxtyping import Int64, Shaped

from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.readers.larcv_memberwise import decode_images, decode_voxel_sets
from lartpc_sparse.data.readers.larcv_particles import root_column_names, tidy_column
from lartpc_sparse.data.readers.larcv_products import PRODUCT_KINDS
from lartpc_sparse.data.readers.larcv_raw import Grid, Voxels, VoxelSets
from lartpc_sparse.data.readers.root_basket import BasketCache
from lartpc_sparse.data.readers.root_claims import check_root_object, check_root_streamers
from lartpc_sparse.data.readers.root_leaf import Leaf, number_type, own_classes, root_damage_named
from lartpc_sparse.jobs import input_error
from lartpc_sparse.schema import UserError

__all__ = ["RootFile"]

_TREE = re.compile(rf"^(?P<product>({'|'.join(PRODUCT_KINDS)})_.+)_tree$")
_GRID_3D = [[f"_meta._{point}.{axis}" for axis in "xyz"] for point in ("p1", "p2")]
_SIZE_3D = [f"_meta._{axis}num" for axis in "xyz"]


class RootFile:
    """One open ROOT file with its larcv trees.

    Args:
        path: of the file.
        cache: where unpacked baskets stay.
        projection: id of the plane of 2D products.
        threshold: pixels of a dense image above this value are voxels.

    Raises:
        UserError: missing, no permission, not ROOT, or damaged.
    """

    def __init__(self, path: str, *, cache: BasketCache, projection: int, threshold: float) -> None:
        self._path, self._cache = path, cache
        self._projection, self._threshold = projection, threshold
        cache.forget(path)  # the file may be another one than when it was open before
        try:  # plain reads: no threads that a fork could break, no memory map that grows with the file
            self._file = uproot.open(
                path,
                handler=uproot.source.file.MultithreadedFileSource,
                use_threads=False,
                num_workers=1,
                object_cache=None,
                array_cache=None,
                custom_classes=own_classes(),
            )
        except Exception as error:  # damage can raise anything, see `root_damage_named`
            raise input_error(path, error) or UserError(
                f"{path} cannot be opened as ROOT ({type(error).__name__}); it is not ROOT, or truncated: copy it again"
            ) from error
        self._raw = Path(path).open("rb")  # noqa: SIM115  closed in `close`
        with root_damage_named(path, "the list of trees"):
            check_root_streamers(self._file, path)
            matches = [_TREE.match(name) for name in self._file.keys(recursive=False, cycle=False)]
            self._products = tuple(sorted({match["product"] for match in matches if match}))
        self._trees: dict[str, tuple[int, dict[str, Any]]] = {}
        self._broken: dict[str, UserError] = {}
        self._leaves: dict[tuple[str, str], Leaf] = {}
        self._columns: dict[str, dict[str, str]] = {}
        self._grids: dict[str, Grid | None] = {}  # of all events of a product; None: they differ

    @property
    def products(self) -> tuple[str, ...]:
        """Names with their kind: `sparse3d_data`."""
        return self._products

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()
        self._cache.forget(self._path)

    def num_events(self, product: str) -> int:
        """Entries of a tree."""
        return self._tree(product)[0]

    def event_id(self, product: str, key: EventKey) -> tuple[int, int, int]:
        """Run, subrun and event."""
        run, subrun, event = (int(self._scalar(product, name, key)) for name in ("_run", "_subrun", "_event"))
        return run, subrun, event

    def num_voxels(self, product: str, first: int, last: int) -> Int64[np.ndarray, " n"]:
        """Voxels of the entries first..last-1."""
        if not product.startswith("sparse3d_"):
            keys = (EventKey(self._path, entry) for entry in range(first, last))
            return np.array([len(self.voxels(product, key).ids) for key in keys], dtype=np.int64)
        with root_damage_named(self._path, f"{product}: the number of voxels"):
            return self._leaf(product, "_voxel_v").counts(first, last)

    def voxels(self, product: str, key: EventKey, *, everywhere: bool = False) -> Voxels:
        """A `sparse3d`, a plane of `sparse2d`, pixels of a plane of `image2d`, or the union of a `cluster3d`."""
        if product.startswith("image2d_"):
            return self._pixels(product, key, everywhere=everywhere)
        if product.startswith("sparse2d_"):
            return self._sparse2d(product, key)
        if product.startswith("cluster3d_"):
            return self.clusters(product, key).union()
        ids = self._numbers(product, "_voxel_v._id", key)
        values = self._numbers(product, "_voxel_v._value", key)
        with root_damage_named(key, f"{product}: the number of voxels"):
            count = self._leaf(product, "_voxel_v").counts(key.entry, key.entry + 1)[0]
            if not len(ids) == len(values) == count:
                raise ValueError(f"{count} voxels, but {len(ids)} ids and {len(values)} values")
        return Voxels(
            ids.astype(np.uint64, copy=False), values.astype(np.float32, copy=False), self._grid(product, key)
        )

    def clusters(self, product: str, key: EventKey) -> VoxelSets:
        """A `cluster3d`.

        Raises:
            UserError: a `cluster2d`, whose layout in ROOT files is not known.
        """
        if not product.startswith("cluster3d_"):
            raise UserError(f"{self._path}: {product} cannot be read, only cluster3d; set `clusters: null`")
        num_sets = len(self._numbers(product, "_voxel_vv._id", key))
        with root_damage_named(key, f"{product} _voxel_vv._voxel_v"):
            ids, values, offsets = decode_voxel_sets(self._leaf(product, "_voxel_vv._voxel_v").raw(key.entry), num_sets)
        return VoxelSets(ids, values, offsets, self._grid(product, key))

    def particles(self, product: str, key: EventKey) -> dict[str, np.ndarray]:
        """Columns of numbers of a `particle` product, by the name of the field without underscore: `vtx_x`."""
        if product not in self._columns:
            with root_damage_named(self._path, f"{product}: its columns"):
                self._columns[product] = root_column_names(
                    name for name, branch in self._tree(product)[1].items() if _holds_numbers(branch)
                )
        columns = {
            name: tidy_column(self._numbers(product, leaf, key)) for name, leaf in self._columns[product].items()
        }
        with root_damage_named(key, f"{product}: the number of particles"):
            lengths = {name: len(column) for name, column in columns.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"columns of different lengths {lengths}")
        return columns

    def _grid(self, product: str, key: EventKey) -> Grid:
        if product not in self._grids:
            with root_damage_named(key, f"{product} _meta"):
                columns = [self._leaf(product, name).column() for name in (*_SIZE_3D, *_GRID_3D[0], *_GRID_3D[1])]
                alike = len({len(column) for column in columns}) == 1 and all((c == c[0]).all() for c in columns)
            self._grids[product] = self._grid_of(product, key) if alike else None
        return self._grids[product] or self._grid_of(product, key)

    def _grid_of(self, product: str, key: EventKey) -> Grid:
        sizes = tuple(int(self._scalar(product, name, key)) for name in _SIZE_3D)
        lower, upper = (tuple(float(self._scalar(product, name, key)) for name in names) for names in _GRID_3D)
        return Grid(sizes, lower, upper, "first")

    def _plane(self, product: str, vector: str, key: EventKey) -> tuple[int, int, Grid]:
        """Number of planes, which of them is wanted, and its grid with the axes column and row."""
        fields = ("_id", "_col_count", "_row_count", "_p1.x", "_p1.y", "_p2.x", "_p2.y")
        ids, *meta = (self._numbers(product, f"{vector}._meta.{field}", key) for field in fields)
        with root_damage_named(key, f"{product}: its planes"):
            found = np.flatnonzero(ids == self._projection)
            if len(found) != 1:
                raise UserError(
                    f"{key}: {product} has the planes {ids.tolist()}, and {len(found)} of them is `projection: "
                    f"{self._projection}`"
                )
            plane = int(found[0])
            columns, rows, *corners = (column[plane] for column in meta)
        left, low, right, high = (float(corner) for corner in corners)
        return len(ids), plane, Grid((int(columns), int(rows)), (left, low), (right, high), "last")

    def _sparse2d(self, product: str, key: EventKey) -> Voxels:
        count, plane, grid = self._plane(product, "_tensor_v", key)
        with root_damage_named(key, f"{product} _tensor_v._voxel_v"):
            raw = self._leaf(product, "_tensor_v._voxel_v").raw(key.entry)
            ids, values, offsets = decode_voxel_sets(raw, count)
        rows = slice(offsets[plane], offsets[plane + 1])
        return Voxels(ids[rows], values[rows], grid)

    def _pixels(self, product: str, key: EventKey, *, everywhere: bool) -> Voxels:
        count, plane, grid = self._plane(product, "_image_v", key)
        with root_damage_named(key, f"{product} _image_v._img"):
            pixels = decode_images(self._leaf(product, "_image_v._img").raw(key.entry), count)[plane]
            if len(pixels) != grid.image_size[0] * grid.image_size[1]:
                raise ValueError(f"{len(pixels)} pixels in an image of size {grid.image_size}")
        bright = np.ones(len(pixels), dtype=bool) if everywhere else ~(pixels <= self._threshold)  # NaN stays, refused
        return Voxels(np.flatnonzero(bright).astype(np.uint64), pixels[bright], grid)

    def _read(self, start: int, num_bytes: int) -> bytes:
        self._raw.seek(start)
        return self._raw.read(num_bytes)

    def _tree(self, product: str) -> tuple[int, dict[str, Any]]:
        """Number of entries, and the branches with data by name."""
        if product in self._broken:
            raise self._broken[product]
        if product not in self._trees:
            try:
                with root_damage_named(self._path, f"the tree of {product}"):
                    check_root_object(self._file, f"{product}_tree", self._path)
                    tree = self._file[f"{product}_tree"]
                    branches = {branch.name: branch for branch in tree.itervalues(recursive=True)}
                    self._trees[product] = int(tree.num_entries), branches
            except UserError as error:  # once: uproot can take seconds to give up on a damaged tree
                self._broken[product] = error
                raise
        return self._trees[product]

    def _leaf(self, product: str, name: str) -> Leaf:
        if (product, name) not in self._leaves:
            count, branches = self._tree(product)
            if name not in branches:
                raise UserError(
                    f"{self._path}: {product} has no leaf {name}; it has {', '.join(branches)}. Is it a larcv2 file?"
                )
            leaf = Leaf(branches[name], f"{product} {name}", self._path, self._cache, self._read)
            if leaf.num_entries != count:
                raise UserError(
                    f"{self._path}: {product} {name} has {leaf.num_entries} entries, its tree {count}; the file is "
                    "damaged: copy or make it again"
                )
            self._leaves[product, name] = leaf
        return self._leaves[product, name]

    def _numbers(self, product: str, name: str, key: EventKey) -> Shaped[np.ndarray, " n"]:
        with root_damage_named(key, f"{product} {name}"):
            return self._leaf(product, name).numbers(key.entry)

    def _scalar(self, product: str, name: str, key: EventKey) -> Any:
        with root_damage_named(key, f"{product} {name}"):
            return self._leaf(product, name).column()[key.entry]


def _holds_numbers(branch: Any) -> bool:
    if branch.branches:
        return False
    try:
        number_type(branch)
    except (TypeError, uproot.interpretation.identify.UnknownInterpretation):
        return False
    return True

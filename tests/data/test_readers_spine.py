"""The reader of SPINE files; the files are made by the documented layout, no real one was at hand."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import Damage, damages, heap_headers, readable
from hypothesis import given, settings
from reader_contract import ReaderContract, assert_same_event
from spine_files import add_rows, spine_event, tensor, write_spine

from lartpc_sparse.data.classes import PILARNET, SIX, split_tracks
from lartpc_sparse.data.readers import SpineConfig
from lartpc_sparse.schema import BadEventError, UserError

SIZES = (20, 0, 1, 7)


def events(seed: int = 0) -> list[Any]:
    return [spine_event(seed + place, voxels, 3 if voxels else 0) for place, voxels in enumerate(SIZES)]


class TestSpineReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> SpineConfig:
        for number in range(2):
            path = folder / f"{number}.h5"
            if not path.exists():
                write_spine(path, events(10 * number), shuffle=bool(number))
        return SpineConfig(files=(str(folder / "*.h5"),), **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_spine(tmp_path / "spine.h5", events())


def config(path: Path, **options: Any) -> SpineConfig:
    return SpineConfig(files=(str(path),), **options)


@pytest.mark.parametrize("shuffle", [False, True])
def test_every_column_is_what_was_written(tmp_path: Path, shuffle: bool) -> None:
    made = events()
    reader = config(write_spine(tmp_path / "a.h5", made, shuffle=shuffle)).build()
    assert (reader.classes, reader.image_size) == (SIX, (16, 16, 16))
    assert reader.voxel_size_mm == pytest.approx(3.0)
    for index, wanted in enumerate(made):
        event = reader.read(index)
        np.testing.assert_array_equal(event.coords, wanted.coords)
        np.testing.assert_array_equal(event.energy, wanted.energy)
        low_energy = wanted.shape == PILARNET.index("low_energy")
        np.testing.assert_array_equal(event.labels["instance"], np.where(low_energy, -1, wanted.cluster))
        for name in ("group", "interaction", "pid", "particle"):
            expected = [wanted.particles[name][row] if row >= 0 else -1 for row in wanted.particle]
            np.testing.assert_array_equal(event.labels[name], expected)
        semantic, _ = split_tracks(wanted.shape.astype(np.int64), event.labels["pid"])
        np.testing.assert_array_equal(event.labels["semantic"], semantic)
        np.testing.assert_array_equal(event.particles["vertex"], wanted.particles["vertex"])
        assert not [name for name in event.particles if name.startswith("_var")]


def test_voxels_without_a_label_get_none(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        group = opened["products/seg_label"]
        values, offsets = group["values"][:], group["event_offsets"][:]
        del opened["products/seg_label"]
        rows = [values[a:b][::2] for a, b in itertools.pairwise(offsets)]
        add_rows(opened["products"].create_group("seg_label"), "values", rows, "array", tensor(3, shape=0))
    event = config(file).build().read(0)
    assert (event.labels["semantic"][1::2] == -1).all()
    assert (event.labels["semantic"][::2] >= -1).all()


def test_ghosts_are_not_labelled(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened["products/seg_label/values"][2:4, 3] = (5, 6)
    assert config(file).build().read(0).labels["semantic"][2:4].tolist() == [-1, -1]


def test_without_label_products_the_particle_table_or_nothing_serves(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        del opened["products/seg_label"]
    reader = config(file).build()
    made = events()[0]
    event = reader.read(0)
    assert reader.classes == SIX
    assert (event.labels["semantic"][made.particle < 0] == -1).all()
    reader._files.close()
    with h5py.File(file, "a") as opened:
        del opened["products/clust_label"]
    reader = config(file).build()
    assert reader.classes == ()
    assert reader.read(0).labels == {}
    assert reader.read(0).particles == {}


def test_products_and_features_have_names_of_choice(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        values = opened["products/data/values"][:]
        offsets = opened["products/data/event_offsets"][:]
        rows = [
            np.column_stack([values[a:b, :3], values[a:b, 3] * 0, values[a:b, 3] * 2])
            for a, b in itertools.pairwise(offsets)
        ]
        add_rows(opened["products"].create_group("mine"), "values", rows, "array", tensor(3, zero=0, double=1))
    options = {"charge": "mine", "image_size": (32, 16, 16), "labels": {"instance": "cluster", "who": "particle"}}
    by_name = config(file, charge_feature="double", **options).build()
    by_place = config(file, charge_feature=1, **options).build()
    event = by_name.read(0)
    assert_same_event(event, by_place.read(0))
    np.testing.assert_array_equal(event.energy, events()[0].energy * 2)
    assert (event.image_size, set(event.labels)) == ((32, 16, 16), {"instance", "who", "semantic"})
    assert by_name.classes == PILARNET


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"charge": "hits"}, r"spine\.h5 has no product hits; it has clust_label, data, seg_label"),
        ({"semantic": "hits"}, "has no product hits"),
        ({"charge_feature": "adc"}, r"product data has no feature 'adc'; it has 1 after the coordinates.*value"),
        ({"charge_feature": 3}, "has no feature 3"),
        ({"labels": {"instance": "nothing"}}, "product clust_label has no feature 'nothing'"),
        ({"image_size": (16, 16)}, "has 3 coordinates, the image 2 axes"),
    ],
)
def test_wrong_names_are_explained(file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config(file, **options).build()


def _edit(name: str, value: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return edit


def _attribute(name: str, value: object) -> Callable[[h5py.File], None]:
    return lambda file: file["info"].attrs.__setitem__(name, value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_attribute("format_version", 1), "format_version 1; only version 2"),
        (_attribute("complete", False), "marked as incomplete"),
        (_edit("events", np.arange(3)), "offsets of product data must grow"),
        (_edit("products/data/event_offsets", [0, 5, 3, 9, 28]), "offsets of product data must grow"),
        (_edit("products/data/event_offsets", [0, 5, 6, 9, 27]), "to its 28 rows"),
        (lambda file: file.pop("products/data/values"), "no `values` and"),
        (lambda file: file.pop("products/data/meta"), "no `meta`; give the reader image_size"),
        (lambda file: file.pop("products"), "no SPINE file"),
    ],
)
def test_files_that_do_not_fit_are_refused(file: Path, edit: Callable[[h5py.File], object], message: str) -> None:
    with h5py.File(file, "a") as opened:
        edit(opened)
    with pytest.raises(UserError, match=message) as error:
        config(file).build()
    assert "spine.h5" in str(error.value)


@pytest.mark.parametrize(
    ("product", "row", "column", "value", "message"),
    [
        ("data", 2, 0, 0.5, "coords of voxel 2 are .* not whole numbers"),
        ("data", 2, 1, 16, "outside the image"),
        ("data", 2, 0, np.nan, "outside the image"),
        ("data", 2, 3, np.inf, "energy of voxel 2 is inf"),
        ("seg_label", 2, 3, 9, "semantic is 9 in row 2"),
        ("seg_label", 2, 3, 1.5, "seg_label is 1.5 in row 2"),
        ("clust_label", 2, 5, 3, "particle_index spans .* for 3 particles"),
        ("clust_label", 2, 4, np.nan, "clust_label instance is nan"),
    ],
)
def test_bad_values_are_named(file: Path, product: str, row: int, column: int, value: float, message: str) -> None:
    with h5py.File(file, "a") as opened:
        opened[f"products/{product}/values"][row, column] = value
    reader = config(file).build()
    with pytest.raises(BadEventError, match=message) as error:
        reader.read(0)
    assert "spine.h5 entry 0" in str(error.value)
    reader.read(3)


def test_a_label_that_is_not_certain_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        values = opened["products/seg_label/values"]
        values[0, :3] = values[1, :3]
    with pytest.raises(BadEventError, match=r"seg_label has the voxel \[.*\] twice"):
        config(file).build().read(0)


@functools.cache
def sound_bytes(path: Path) -> tuple[bytes, list[int]]:
    """A file and where its heap headers are."""
    made = write_spine(path, events()).read_bytes()
    return made, heap_headers(made)


@settings(max_examples=50)
@given(damage=damages())
def test_damaged_copies_give_errors_or_events(damage: Damage, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The format has no checksums: damaged values can go unnoticed, damaged structure cannot.

    Half of the damages hit heap headers, on which HDF5 itself can run for ever (see `global_heap`).
    """
    folder = tmp_path_factory.getbasetemp()
    bad = folder / "bad_spine.h5"
    bad.write_bytes(damage.of(*sound_bytes(folder / "good_spine.h5")))
    for event in readable(config(bad)):
        assert np.isfinite(event.energy).all()
        assert ((event.coords >= 0) & (event.coords < np.array(event.image_size))).all()

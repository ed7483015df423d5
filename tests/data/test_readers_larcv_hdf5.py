"""larcv3 files: samples written by larcv 3.5.1, and made files for what those do not show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from larcv_checks import check_event
from larcv_files import empty_event, made_event, write_larcv3
from pydantic import ValidationError
from reader_contract import ReaderContract

from lartpc_sparse.data.larcv_tables import EXTENTS
from lartpc_sparse.data.readers import LarcvHdf5Config
from lartpc_sparse.schema import BadEventError, UserError


def config(*paths: Path | str, **options: Any) -> LarcvHdf5Config:
    return LarcvHdf5Config(files=tuple(map(str, paths)), **options)


class TestLarcvHdf5Reader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> LarcvHdf5Config:
        paths = folder / "0.h5", folder / "1.h5"
        for number, path in enumerate(paths):
            if not path.exists():
                events = [made_event(10 * number + i) for i in range(3)]
                write_larcv3(path, [events[0], empty_event(99), *events[1:]])
        return config(*paths, **options)


def test_every_voxel_and_label(tmp_path: Path) -> None:
    made = [made_event(i, clusters=i, catch_all=bool(i % 2)) for i in range(7)]
    reader = config(write_larcv3(tmp_path / "a.h5", made)).build()
    for index in (6, 0, 3, 5, 1, 2, 4):
        check_event(reader.read(index), made[index])
    assert reader.num_voxels().tolist() == [len(event.coords) for event in made]


def test_samples_written_by_larcv3(shared_data: Path) -> None:
    path = shared_data / "formats" / "larcv3_sparse3d.h5"
    reader = config(path).build()
    assert (reader.image_size, reader.num_voxels().tolist()) == ((128, 128, 128), [50, 40, 38, 35])
    with h5py.File(path, locking=False) as file:
        voxels = file["Data/sparse3d_test_group/voxels"][:]
    events = [reader.read(index) for index in range(4)]
    coords, energy = (np.concatenate([getattr(event, name) for event in events]) for name in ("coords", "energy"))
    np.testing.assert_array_equal(energy, voxels["value"])
    x, y, z = coords.astype(np.uint64).T
    np.testing.assert_array_equal((x * 128 + y) * 128 + z, voxels["id"])

    path = shared_data / "formats" / "larcv3_cluster3d.h5"
    with pytest.raises(UserError, match="holds no sparse3d product for `energy`; the file holds cluster3d_test"):
        config(path, image="sparse3d").build()
    reader = config(path).build()
    assert reader.products.energy == "cluster3d_test"  # type: ignore[attr-defined]
    events = [reader.read(index) for index in range(4)]
    with h5py.File(path, locking=False) as file:
        voxels, sets = (file[f"Data/cluster3d_test_group/{name}"][:] for name in ("voxels", "cluster_extents"))
    assert [len(event) for event in events] == [557, 5, 158, 80]  # of 809 voxels, 9 are in two sets
    assert len(voxels) == 809
    assert [event.labels["instance"].max() + 1 for event in events] == [25, 1, 6, 5]
    np.testing.assert_allclose(sum(event.energy.sum() for event in events), voxels["value"].sum(), rtol=1e-5)
    assert len(sets) == 37


def test_planes_of_two_axes(tmp_path: Path) -> None:
    made = [made_event(i, size=(9, 7)) for i in range(3)]
    path = write_larcv3(tmp_path / "a.h5", made)
    reader = config(path, image="sparse2d").build()
    assert reader.image_size == (9, 7)
    for index, event in enumerate(made):
        check_event(reader.read(index), event)
    with pytest.raises(UserError, match=r"sparse2d_pcluster has the planes \[0\], and 0 of them is `projection: 2`"):
        config(path, image="sparse2d", projection=2).build()


def test_events_without_planes_are_empty(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(2)]
    path = write_larcv3(tmp_path / "a.h5", made)
    with h5py.File(path, "a") as file:
        for group in file["Data"].values():
            extents = group["extents"][:]
            del group["extents"]
            group["extents"] = np.concatenate([np.zeros(1, dtype=EXTENTS), extents])
        ids = file["Events/event_id"][:]
        del file["Events/event_id"]
        file["Events/event_id"] = np.concatenate([ids[:1], ids])
    reader = config(path).build()
    assert reader.num_voxels().tolist() == [0, *(len(event.coords) for event in made)]
    assert len(reader.read(0)) == 0
    check_event(reader.read(2), made[1])


def changed(path: Path, table: str, field: str, row: int, value: float) -> None:
    with h5py.File(path, "a") as file:
        rows = file[table][:]
        rows[field][row] = value
        file[table][...] = rows


SPARSE, CLUSTER, PARTICLE = (f"Data/{name}_pcluster_group" for name in ("sparse3d", "cluster3d", "particle"))
DAMAGE = [
    (f"{SPARSE}/extents", "first", 99, "planes 99..99 of voxel_extents"),
    (f"{SPARSE}/voxel_extents", "N", 10**6, "cannot read voxels of sparse3d_pcluster"),
    (f"{SPARSE}/voxel_extents", "first", 2**63, "cannot read voxels of sparse3d_pcluster"),
    (f"{SPARSE}/image_meta", "number_of_voxels", 20, r"has an image of size \(20, 20, 20\)"),
    (f"{SPARSE}/image_meta", "origin", 5.0, "their voxel ids differ"),
    (f"{CLUSTER}/projection_extents", "N", 3, "3 voxel sets for 5 particles"),
    (f"{CLUSTER}/cluster_extents", "first", 7, "the voxel sets do not follow one another"),
    (f"{PARTICLE}/extents", "N", 999, "cannot read particles of particle_pcluster"),
    (f"{SPARSE.replace('_group', '_semantics_group')}/voxels", "value", 7.0, "expected -1..6 for the classes shower"),
    (f"{SPARSE.replace('_group', '_semantics_group')}/voxels", "value", 1.5, "is 1.5 in row 0"),
    (f"{SPARSE.replace('_group', '_semantics_group')}/voxels", "id", 1919, "lacks 1 of the|occurs twice"),
    (f"{SPARSE}/voxels", "id", 2**40, "has voxel id 1099511627776, outside its image"),
    (f"{SPARSE}/voxels", "value", np.nan, "energy of voxel 0 is nan"),
]


@pytest.mark.parametrize(("table", "field", "value", "message"), DAMAGE)
def test_what_does_not_fit_is_named(tmp_path: Path, table: str, field: str, value: float, message: str) -> None:
    made = [made_event(i) for i in range(3)]
    path = write_larcv3(tmp_path / "a.h5", made)
    first = {"voxels": len(made[0].coords), "cluster_extents": 7}.get(table.rsplit("/", 1)[1], 1)
    reader = config(path).build()
    changed(path, table, field, first, value)
    with pytest.raises(BadEventError, match=message) as error:
        reader.read(1)
    assert f"{path} entry 1" in str(error.value)
    if "first" not in field:
        check_event(reader.read(0), made[0])


def test_voxels_without_a_class_may_be_unlabelled(tmp_path: Path) -> None:
    made = [made_event(i) for i in range(2)]
    path = write_larcv3(tmp_path / "a.h5", made)
    with h5py.File(path, "a") as file:
        group = file[SPARSE.replace("_group", "_semantics_group")]
        extents = group["voxel_extents"][:]
        extents["N"][1] -= 4
        group["voxel_extents"][...] = extents
    with pytest.raises(BadEventError, match=r"lacks 4 of the \d+ voxels of sparse3d_pcluster.*unmatched"):
        config(path).build().read(1)
    event = config(path, unmatched="unlabelled", split_tracks=False).build().read(1)
    assert (event.labels["semantic"] == -1).nonzero()[0].tolist() == list(range(len(event) - 4, len(event)))


def test_classes_are_matched_by_id_not_by_place(tmp_path: Path) -> None:
    made = [made_event(4)]
    path = write_larcv3(tmp_path / "a.h5", made)
    with h5py.File(path, "a") as file:
        voxels = file[SPARSE.replace("_group", "_semantics_group")]["voxels"]
        voxels[...] = voxels[:][::-1]
    check_event(config(path).build().read(0), made[0])


def test_options_of_larcv_products_exclude_the_own_layout(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="leave out energy, classes"):
        config("a.h5", layout="lartpc_sparse", energy="x", classes="fivetypes")
    path = write_larcv3(tmp_path / "a.h5", [made_event(0)])
    with pytest.raises(UserError, match=r"a\.h5: cannot read the group lartpc_sparse"):
        config(path, layout="lartpc_sparse").build()


def test_splitting_tracks_needs_particles(tmp_path: Path) -> None:
    path = write_larcv3(tmp_path / "a.h5", [made_event(0)])
    assert "track" in config(path, split_tracks=False).build().classes
    for options, message in (
        ({"particles": None}, "needs a class `track`, clusters and particles"),
        ({"semantic": None}, "needs a class product"),
        ({"classes": ("a", "b", "c", "d", "e")}, "needs a class `track`"),
    ):
        with pytest.raises(UserError, match=message):
            config(path, split_tracks=True, **options).build()


def test_other_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["point"] = np.zeros(3)
    with pytest.raises(UserError, match=r"no groups Data and Events, so it is not larcv3; it has \['point'\]"):
        config(tmp_path / "a.h5").build()

"""PILArNet-M files of every version, recovered, refused and damaged."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import Damage, damages, heap_headers, readable
from hypothesis import given, settings
from pilarnet_files import VERSIONS, RawEvent, empty_event, raw_event, write_pilarnet
from reader_contract import ReaderContract

from lartpc_sparse.data.classes import PILARNET, SIX
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import PilarnetConfig, VoxelsConfig
from lartpc_sparse.data.readers.pilarnet_event import decode
from lartpc_sparse.data.readers.pilarnet_layout import LAYOUTS
from lartpc_sparse.data.readers.vlen_table import VlenTable, stored_entries
from lartpc_sparse.schema import BadEventError, UserError

EXTRA_NAMES = (
    *("mass_mev", "momentum_gev", "vertex_x", "vertex_y", "vertex_z", "is_primary"),
    *("px_gev", "py_gev", "pz_gev", "parent_pdg", "parent_track_id"),
)
NUM_EXTRA = {"v1": 0, "v2": 5, "v2_bare": 0, "v3": 6, "v3_extra": 11, "v3_packed9": 9, "v3_packed11": 11}


def config(*paths: Path, **options: Any) -> PilarnetConfig:
    return PilarnetConfig(files=tuple(map(str, paths)), **options)


class TestPilarnetReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> PilarnetConfig:
        paths = folder / "0.h5", folder / "1.h5"
        for number, path in enumerate(paths):
            if not path.exists():
                events = [raw_event(10 * number + i) for i in range(3)]
                write_pilarnet(path, [events[0], empty_event(), *events[1:]])
        return config(*paths, **options)


class TestPilarnetV1Reader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> PilarnetConfig:
        path = folder / "v1.h5"
        if not path.exists():
            write_pilarnet(path, [raw_event(i) for i in range(6)], "v1")
        return config(path, **options)


def semantic_name(row: np.ndarray, has_pid: bool) -> str | None:
    name = PILARNET[row[4]]
    if name == "track" and has_pid:
        return {2: "MIP", 3: "MIP", 4: "HIP"}.get(int(row[5]))
    return name


def check_event(event: Event, raw: RawEvent, version: str) -> None:
    """Voxel by voxel, from the rows the file was made of."""
    has_pid = version != "v1"
    np.testing.assert_array_equal(event.coords, raw.point[:, :3])
    np.testing.assert_array_equal(event.energy, raw.point[:, 3])
    voxel = 0
    for row in raw.cluster:
        for _ in range(row[0]):
            found = {name: int(column[voxel]) for name, column in event.labels.items()}
            label = found.pop("semantic")
            assert (event.classes[label] if label >= 0 else None) == semantic_name(row, has_pid)
            wanted = {"fragment": row[1], "group": row[2], "interaction": row[3], "instance": row[1]}
            assert found == wanted | ({"pid": row[5]} if has_pid else {})
            voxel += 1
    assert voxel == len(event)
    table = dict(zip(("n_points", "fragment", "group", "interaction"), raw.cluster.T, strict=False))
    for name, column in table.items():
        np.testing.assert_array_equal(event.particles[name], column)
    for name, column in zip(EXTRA_NAMES[: NUM_EXTRA[version]], raw.extra.T, strict=False):
        np.testing.assert_array_equal(event.particles[name], column)
    count = 5 + has_pid + NUM_EXTRA[version] + 3 * (version == "v3_extra")
    assert len(event.particles) == count


@pytest.mark.parametrize("cluster_type", [np.int32, np.int64, np.float32])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_recovered(tmp_path: Path, version: str, cluster_type: type[np.generic]) -> None:
    raw = [raw_event(i, clusters=3 + i) for i in range(4)]
    reader = config(write_pilarnet(tmp_path / "a.h5", raw, version, cluster_type)).build()
    assert reader.version == version[:2]
    assert reader.classes == (PILARNET if version == "v1" else SIX)
    for index, event in enumerate(raw):
        check_event(reader.read(index), event, version)


@pytest.mark.parametrize("version", VERSIONS)
def test_widths_that_divide_by_chance_do_not_mislead(tmp_path: Path, version: str) -> None:
    """29 + 1 clusters: the flat cluster table divides by 5 and by 6."""
    raw = [raw_event(i, clusters=29) for i in range(3)]
    reader = config(write_pilarnet(tmp_path / "a.h5", raw, version)).build()
    assert reader.version == version[:2]
    check_event(reader.read(2), raw[2], version)


def twofold(num_points: int) -> RawEvent:
    """One v2-sized table of 30 numbers that is sound with rows of 5 and with rows of 6."""
    flat = np.zeros(30, dtype=np.int32)
    flat[0] = num_points  # n_points of the first row in both; all else is zero
    event = raw_event(0)
    point = np.tile(event.point, (num_points, 1))[:num_points]
    return RawEvent(point, flat.reshape(5, 6), np.zeros((5, 11), dtype=np.float32))


def test_an_ambiguous_file_asks_for_the_version(tmp_path: Path) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [twofold(4), twofold(7)], "v2_bare")
    with pytest.raises(UserError, match=r"a\.h5: 2 events fit v1 and v2; give the reader `version`"):
        config(path).build()
    assert config(path, version="v1").build().classes == PILARNET
    assert config(path, version="v2").build().classes == SIX


def test_one_clear_event_settles_an_ambiguous_file(tmp_path: Path) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [twofold(4), twofold(7), raw_event(3)], "v2_bare")
    assert config(path).build().version == "v2"


@pytest.mark.parametrize(("written", "wanted"), [("v1", "v2"), ("v2", "v3"), ("v3", "v1"), ("v2_bare", "v3")])
def test_a_wrong_forced_version_is_refused(tmp_path: Path, written: str, wanted: str) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [raw_event(i, clusters=6) for i in range(4)], written)
    with pytest.raises(UserError, match=f"a.h5 does not have the PILArNet-M layout {wanted}"):
        config(path, version=wanted).build()


def test_a_table_that_fits_nothing_is_refused_with_reasons(tmp_path: Path) -> None:
    raw = [replace(event, point=event.point[1:]) for event in (raw_event(0), raw_event(1))]
    with pytest.raises(UserError, match=r"v2: the clusters hold \d+ points, the event has \d+"):
        config(write_pilarnet(tmp_path / "a.h5", raw)).build()


def test_a_layout_that_fits_a_minority_is_refused(tmp_path: Path) -> None:
    raw = [raw_event(i) for i in range(4)]
    odd = [replace(event, point=event.point[1:]) for event in raw[:2]]
    with pytest.raises(UserError, match="in most of 4 events"):
        config(write_pilarnet(tmp_path / "a.h5", [*odd, *raw[2:]])).build()
    assert config(write_pilarnet(tmp_path / "b.h5", [*odd, *raw[1:]])).build().version == "v2"


def test_low_energy_deposits_are_no_instance(tmp_path: Path) -> None:
    raw = raw_event(3)
    raw.cluster[1, 4], raw.cluster[1, 0], raw.cluster[2, 0] = 4, sum(raw.cluster[1:3, 0]), 0
    event = config(write_pilarnet(tmp_path / "a.h5", [raw])).build().read(0)
    low_energy = event.labels["semantic"] == SIX.index("low_energy")
    assert set(event.labels["fragment"][low_energy]) == {-1, raw.cluster[1, 1]}
    np.testing.assert_array_equal(event.labels["instance"], np.where(low_energy, -1, event.labels["fragment"]))


def test_files_of_different_class_schemes_are_refused(tmp_path: Path) -> None:
    paths = [write_pilarnet(tmp_path / f"{version}.h5", [raw_event(1)], version) for version in ("v2", "v3", "v1")]
    reader = config(*paths).build()
    check_event(reader.read(1), raw_event(1), "v3")
    with pytest.raises(UserError, match=r"v1\.h5 is v1, but the first file v2"):
        reader.read(2)


def test_empty_events_come_from_any_layout(tmp_path: Path) -> None:
    blank = write_pilarnet(tmp_path / "blank.h5", [empty_event()] * 3)
    full = write_pilarnet(tmp_path / "full.h5", [*[empty_event()] * 40, raw_event(1)], "v3")
    reader = config(blank, full).build()
    assert (reader.version, len(reader)) == ("v3", 44)
    assert reader.num_voxels().tolist() == [0] * 43 + [len(raw_event(1).point)]
    assert len(reader.read(0)) == 0
    assert reader.read(0).labels.keys() == reader.read(43).labels.keys()


def test_nothing_but_empty_events_needs_the_version(tmp_path: Path) -> None:
    blank = write_pilarnet(tmp_path / "blank.h5", [empty_event()] * 3)
    with pytest.raises(UserError, match=r"blank\.h5.*hold no voxels.*version"):
        config(blank).build()
    assert config(blank, version="v1").build().read(2).classes == PILARNET


def test_interaction_vertices_are_looked_up_by_id(tmp_path: Path) -> None:
    raw = replace(raw_event(4), interaction=np.array([[1, 4, 5, 6], [-1, 9, 9, 9]], dtype=np.float32))
    particles = config(write_pilarnet(tmp_path / "a.h5", [raw], "v3_extra")).build().read(0).particles
    for row, interaction in enumerate(raw.cluster[:, 3]):
        found = [float(particles[f"interaction_{axis}"][row]) for axis in "xyz"]
        np.testing.assert_array_equal(found, [4, 5, 6] if interaction == 1 else [np.nan] * 3)


def test_a_second_voxel_at_the_same_place_is_passed_through(tmp_path: Path) -> None:
    raw = raw_event(2)
    raw.point[1, :3] = raw.point[0, :3]
    event = config(write_pilarnet(tmp_path / "a.h5", [raw])).build().read(0)
    assert len(event) == len(raw.point)


def test_further_point_columns_become_labels(tmp_path: Path) -> None:
    raw = raw_event(6)
    path = write_pilarnet(tmp_path / "a.h5", [raw])
    event = config(path, point_labels=("dx", "time", "electrons", "deposit")).build().read(0)
    for name, column in {"deposit": 4, "time": 5, "electrons": 6, "dx": 7}.items():
        np.testing.assert_array_equal(event.labels[name], raw.point[:, column].astype(np.float32))
    assert not {"deposit", "time", "electrons", "dx"} & config(path).build().read(0).labels.keys()


def test_the_image_may_have_another_size(tmp_path: Path) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [raw_event(2, size=100)])
    assert config(path, image_size=(100, 100, 100)).build().read(0).image_size == (100, 100, 100)
    with pytest.raises(BadEventError, match="outside the image"):
        config(path, image_size=(50, 50, 50)).build().read(0)


BAD_POINTS = [(3, np.nan), (3, np.inf), (3, -np.inf), (0, 768.0), (1, -1.0), (2, 3.5), (0, np.nan), (1, 1e30)]


@pytest.mark.parametrize(("column", "value"), BAD_POINTS)
def test_a_bad_point_makes_a_bad_event(tmp_path: Path, column: int, value: float) -> None:
    raw = [raw_event(i) for i in range(3)]
    raw[1].point[2, column] = value
    path = write_pilarnet(tmp_path / "a.h5", raw)
    reader = config(path).build()
    field = "energy" if column == 3 else "coords"
    with pytest.raises(BadEventError, match=f"{field} of voxel 2") as error:
        reader.read(1)
    assert f"{path} entry 1" in str(error.value)
    check_event(reader.read(2), raw[2], "v2")


BAD_CLUSTERS = [(0, -3, "negative n_points"), (0, 99, "the clusters hold"), (4, 5, "semantic"), (4, -1, "semantic")]


@pytest.mark.parametrize(("column", "value", "message"), BAD_CLUSTERS)
def test_a_bad_cluster_makes_a_bad_event(tmp_path: Path, column: int, value: int, message: str) -> None:
    raw = [raw_event(i) for i in range(3)]
    raw[1].cluster[2, column] = value
    reader = config(write_pilarnet(tmp_path / "a.h5", raw)).build()
    with pytest.raises(BadEventError, match=f"entry 1: .*{message}"):
        reader.read(1)
    check_event(reader.read(0), raw[0], "v2")


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e30])
def test_cluster_values_that_are_not_whole_make_a_bad_event(value: float) -> None:
    raw = raw_event(0)
    cluster = raw.cluster.astype(np.float32)
    cluster[1, 1] = value
    tables = {"point": raw.point.ravel(), "cluster": cluster.ravel()}
    with pytest.raises(BadEventError, match="not whole numbers"):
        decode(tables, LAYOUTS[1], EventKey("a.h5", 0), (768, 768, 768))


@pytest.mark.parametrize("name", ["cluster_extra", "cluster_extra_2", "interaction_extra"])
def test_extra_tables_of_another_length_make_a_bad_event(tmp_path: Path, name: str) -> None:
    raw = [raw_event(i) for i in range(3)]
    path = write_pilarnet(tmp_path / "a.h5", raw, "v3_extra")
    with h5py.File(path, "a") as file:
        file[name][1] = file[name][1][:-1]
    reader = config(path).build()
    with pytest.raises(BadEventError, match=f"entry 1: {name} has"):
        reader.read(1)


def test_counts_come_from_the_side_file_if_there_is_one(tmp_path: Path) -> None:
    raw = [raw_event(i) for i in range(3)]
    path = write_pilarnet(tmp_path / "a.h5", raw)
    np.save(tmp_path / "a_points.npy", np.array([5, 6, 7], dtype=np.int32))
    assert config(path, select=(1, 3)).build().num_voxels().tolist() == [6, 7]
    np.save(tmp_path / "a_points.npy", np.array([5, 6]))
    with pytest.raises(UserError, match=r"a_points\.npy has shape \(2,\) for 3 events.*delete it"):
        config(path).build().num_voxels()
    (tmp_path / "a_points.npy").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"a_points\.npy: cannot read the number of points"):
        config(path).build().num_voxels()


@pytest.mark.parametrize("version", VERSIONS)
def test_counts_of_a_compressed_file_come_from_the_clusters(tmp_path: Path, version: str) -> None:
    raw = [raw_event(0), empty_event(), raw_event(1)]
    path = write_pilarnet(tmp_path / "a.h5", raw, version)
    with h5py.File(path, "a") as file:
        rows = file["point"][:]
        del file["point"]
        file.create_dataset("point", data=rows, dtype=h5py.vlen_dtype(np.float32), compression=4)
    assert config(path).build().num_voxels().tolist() == [len(event.point) for event in raw]
    assert config(path, select=(2, 3)).build().num_voxels().tolist() == [len(raw[2].point)]


def test_another_format_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["coords"] = np.zeros(3)
    with pytest.raises(UserError, match=r"other\.h5 has no data set \['point', 'cluster'\].*\['coords'\].*kind"):
        config(tmp_path / "other.h5").build()


@pytest.mark.parametrize("value", [np.zeros((3, 4)), np.zeros(3), np.array([b"a", b"b", b"c"])])
def test_tables_of_another_kind_are_refused(tmp_path: Path, value: np.ndarray) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [raw_event(i) for i in range(3)])
    with h5py.File(path, "a") as file:
        del file["cluster"]
        file["cluster"] = value
    with pytest.raises(UserError, match=r"cannot read cluster \(it does not hold one variable-length row"):
        config(path).build()


def test_tables_of_different_numbers_of_events_are_refused(tmp_path: Path) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [raw_event(i) for i in range(3)])
    with h5py.File(path, "a") as file:
        del file["cluster"]
        file.create_dataset("cluster", (2,), dtype=h5py.vlen_dtype(np.int32))
    with pytest.raises(UserError, match=r"different numbers of events \{'point': 3, 'cluster': 2"):
        config(path).build()


@pytest.mark.parametrize("storage", [{}, {"maxshape": (None,), "chunks": (3,)}, {"chunks": (2,), "compression": 4}])
def test_stored_entries_without_reading(tmp_path: Path, storage: dict[str, Any]) -> None:
    lengths = [4, 0, 7, 1, 2]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("rows", (5,), dtype=h5py.vlen_dtype(np.int32), **storage)
        file.create_dataset("blank", (5,), dtype=h5py.vlen_dtype(np.int32))
        for entry, length in enumerate(lengths):
            data[entry] = np.arange(length)
    with h5py.File(tmp_path / "a.h5") as file:
        found = stored_entries(file["rows"])
        assert (found is None) == ("compression" in storage)
        assert found is None or found["length"].tolist() == lengths
        np.testing.assert_array_equal(stored_entries(file["blank"])["length"], [0] * 5)
        assert len(VlenTable(file["rows"])[2]) == 7


def test_a_damaged_length_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    raw = [raw_event(i) for i in range(4)]
    path = write_pilarnet(tmp_path / "a.h5", raw)
    with h5py.File(path) as file:
        position = file["point"].id.get_offset() + 16  # length of entry 1
    content = bytearray(path.read_bytes())
    content[position : position + 4] = (2**32 - 8).to_bytes(4, "little")
    path.write_bytes(content)
    reader = config(path).build()
    with pytest.raises(BadEventError, match=r"entry 1: cannot read point.*more values than the file has bytes"):
        reader.read(1)
    check_event(reader.read(2), raw[2], "v2")


@functools.cache
def sound_bytes(path: Path) -> tuple[bytes, list[int]]:
    """A file and where its heap headers are."""
    made = write_pilarnet(path, [raw_event(i) for i in range(6)], "v3_extra").read_bytes()
    return made, heap_headers(made)


@settings(max_examples=50)
@given(damage=damages())
def test_damaged_copies_give_an_error_or_sound_events(damage: Damage, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The format has no checksums: a flipped bit of a value cannot be noticed, but nothing else may pass.

    Half of the damages hit the headers of HDF5's global heaps, on which HDF5 itself can run for ever (`global_heap`).
    """
    folder = tmp_path_factory.getbasetemp()
    bad = folder / "bad_pilarnet.h5"
    bad.write_bytes(damage.of(*sound_bytes(folder / "pilarnet.h5")))
    for event in readable(config(bad)):
        assert np.isfinite(event.energy).all()
        assert ((event.coords >= 0) & (event.coords < 768)).all()
        assert len(event) == event.particles["n_points"].sum()
        assert ((event.labels["semantic"] >= -1) & (event.labels["semantic"] < 6)).all()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_named(tmp_path: Path, part: float) -> None:
    path = write_pilarnet(tmp_path / "cut.h5", [raw_event(i) for i in range(6)])
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"cut\.h5 cannot be opened as HDF5.*truncated: copy it again"):
        config(path).build()


def test_the_validation_sample_voxel_by_voxel(shared_data: Path) -> None:
    reader = config(shared_data / "val_pilarnet.h5").build()
    to_six = np.array([SIX.index(name) for name in ("shower", "MIP", "Michel", "delta", "low_energy")])
    with h5py.File(shared_data / "val_flat.h5") as flat:
        offsets = flat["offsets"][:]
        columns = {name: flat[name][:] for name in ("coords", "energy", "semantic", "pid")}
        labels = {name: flat[name][:] for name in ("fragment", "group", "interaction", "pid")}
    assert (len(reader), reader.version) == (200, "v2")
    np.testing.assert_array_equal(reader.num_voxels(), np.diff(offsets))
    for index in range(len(reader)):
        event, rows = reader.read(index), slice(offsets[index], offsets[index + 1])
        np.testing.assert_array_equal(event.coords, columns["coords"][rows])
        np.testing.assert_allclose(event.energy, columns["energy"][rows], rtol=2**-13)  # rounded to 12 bits there
        for name, column in labels.items():
            np.testing.assert_array_equal(event.labels[name], column[rows])
        semantic = to_six[columns["semantic"][rows]]
        semantic[(columns["semantic"][rows] == 1) & (columns["pid"][rows] == 4)] = SIX.index("HIP")
        np.testing.assert_array_equal(event.labels["semantic"], semantic)
        np.testing.assert_array_equal(
            event.labels["instance"], columns["semantic"][rows] * 0 + labels["fragment"][rows]
        )


def test_pilarnet_is_not_read_as_voxels(tmp_path: Path) -> None:
    path = write_pilarnet(tmp_path / "a.h5", [raw_event(0)])
    with pytest.raises(UserError, match="is not a lartpc_sparse"):
        VoxelsConfig(files=(str(path),)).build()

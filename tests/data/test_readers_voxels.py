"""The readers of the project's own format and of the packaged sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import Damage, damages, readable, same_content
from hypothesis import given, settings
from made_events import make_event, random_event
from reader_contract import ReaderContract, assert_same_event

from lartpc_sparse.data.classes import FIVE, SIX
from lartpc_sparse.data.event import Event
from lartpc_sparse.data.readers import SampleConfig, VoxelsConfig
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.schema import BadEventError, UserError

COUNTS = (7, 0, 30, 1)


def write(path: Path, events: list[Event]) -> Path:
    first = events[0]
    with VoxelFileWriter(path, image_size=first.image_size, classes=first.classes) as writer:
        for event in events:
            writer.write(event)
    return path


def edit(path: Path, name: str, value: object) -> None:
    """Replace a data set."""
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = value


class TestVoxelsReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> VoxelsConfig:
        for number in range(2):
            path = folder / f"{number}.h5"
            if not path.exists():
                write(path, [random_event(10 * number + i, n) for i, n in enumerate(COUNTS)])
        return VoxelsConfig(files=(str(folder / "*.h5"),), **options)


class TestVoxelsReader2D(ReaderContract):
    def config(self, folder: Path, **options: Any) -> VoxelsConfig:
        path = folder / "plane.h5"
        if not path.exists():
            write(path, [random_event(i, n, image_size=(9, 8)) for i, n in enumerate(COUNTS + COUNTS)])
        return VoxelsConfig(files=(str(path),), **options)


class TestSampleReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> SampleConfig:
        return SampleConfig(split="test", **options)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "events.h5", [random_event(i, n) for i, n in enumerate(COUNTS)])


def config(path: Path, **options: Any) -> VoxelsConfig:
    return VoxelsConfig(files=(str(path),), **options)


def test_the_sample_has_the_documented_events() -> None:
    readers = [SampleConfig(split=split).build() for split in ("train", "validation", "test")]
    assert [len(reader) for reader in readers] == [320, 40, 40]
    assert {reader.classes for reader in readers} == {SIX}
    assert {reader.header.voxel_size_mm for reader in readers} == {3.0}
    assert sum(int(reader.num_voxels().sum()) for reader in readers) == 1155316
    event = readers[0].read(0)
    particles = event.particles
    assert len(event) == particles["n_points"].sum()
    np.testing.assert_array_equal(event.labels["fragment"], np.repeat(particles["fragment"], particles["n_points"]))
    np.testing.assert_array_equal(event.labels["semantic"], np.repeat(particles["semantic"], particles["n_points"]))


def test_the_sample_is_what_it_was_made_from(shared_data: Path) -> None:
    source = shared_data / "sample_flat.h5"
    to_six = np.array([SIX.index(name) for name in ("shower", "HIP", "Michel", "delta", "low_energy")])
    with h5py.File(source) as flat:
        offsets = flat["offsets"][:]
        columns = {name: flat[name][:] for name in ("coords", "energy", "semantic", "fragment", "group", "pid")}
    start = 0
    for split in ("train", "validation", "test"):
        reader = SampleConfig(split=split).build()
        for index in range(len(reader)):
            event = reader.read(index)
            rows = slice(offsets[start + index], offsets[start + index + 1])
            np.testing.assert_array_equal(event.coords, columns["coords"][rows])
            np.testing.assert_array_equal(event.energy, columns["energy"][rows])
            np.testing.assert_array_equal(event.labels["fragment"], columns["fragment"][rows])
            np.testing.assert_array_equal(event.labels["group"], columns["group"][rows])
            semantic = to_six[columns["semantic"][rows]]
            semantic[(columns["semantic"][rows] == 1) & (columns["pid"][rows] != 4)] = SIX.index("MIP")
            np.testing.assert_array_equal(event.labels["semantic"], semantic)
        start += len(reader)


def test_fewer_labels_and_no_particles_on_request(file: Path) -> None:
    event = config(file, labels=("semantic",), particles=False).build().read(2)
    assert list(event.labels) == ["semantic"]
    assert not event.particles
    whole = config(file).build().read(2)
    np.testing.assert_array_equal(event.labels["semantic"], whole.labels["semantic"])


def test_a_label_the_file_lacks_is_refused_with_the_names(file: Path) -> None:
    with pytest.raises(UserError, match=r"events\.h5 has no labels \['pid'\]; it has \['instance', 'semantic'\]"):
        config(file, labels=("semantic", "pid")).build()


def test_a_file_of_empty_events_gives_the_labels_asked_for(tmp_path: Path) -> None:
    empty = make_event([]).replace(labels={})
    path = write(tmp_path / "empty.h5", [empty, empty])
    event = config(path, labels=("semantic",)).build().read(1)
    assert event.labels["semantic"].shape == (0,)
    assert event.labels["semantic"].dtype == np.int64


def test_another_format_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["point"] = np.zeros(3)
    with pytest.raises(UserError, match=r"other\.h5 is not a lartpc_sparse\.voxels file.*kind"):
        config(tmp_path / "other.h5").build()


def test_a_newer_version_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened.attrs["format_version"] = 2
    with pytest.raises(UserError, match=r"format_version 2.*up to 1: upgrade"):
        config(file).build()


def test_files_of_different_classes_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a.h5", [random_event(0, 3)])
    other = write(tmp_path / "b.h5", [random_event(0, 3).replace(classes=FIVE)])
    with pytest.raises(UserError, match=r"b\.h5 has classes.*a\.h5"):
        VoxelsConfig(files=(str(one), str(other))).build()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("offsets", [0, 7, 7, 37, 39], "ends at 39"),
        ("offsets", [0, 7, 5, 37, 38], "must start at 0 and grow"),
        ("offsets", [1, 7, 7, 37, 38], "must start at 0 and grow"),
        ("particle_offsets", [0, 2, 4, 6], "over 5 entries"),
        ("particle_offsets", [0, 2, 4, 6, 9], "ends at 9"),
        ("labels/instance", np.zeros(37), "'instance': 37"),
        ("energy", np.zeros(2, np.float32), "'energy': 2"),
        ("coords", np.zeros((38, 2), np.int16), "coords have shape"),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(file: Path, name: str, value: object, message: str) -> None:
    edit(file, name, value)
    with pytest.raises(UserError, match=message) as error:
        config(file).build().read(0)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("energy", np.nan, "energy of voxel 3"), ("coords", [3, 16, 0], "coords of voxel 3"), ("labels/semantic", 3, "3")],
)
def test_bad_values_make_a_bad_event_and_leave_the_others(file: Path, name: str, value: object, message: str) -> None:
    with h5py.File(file, "a") as opened:
        column = opened[name][:]
        column[7 + 3] = value  # voxel 3 of event 2
        opened[name][:] = column
    reader = config(file).build()
    with pytest.raises(BadEventError, match=message) as error:
        reader.read(2)
    assert f"{file} entry 2" in str(error.value)
    assert [len(reader.read(index)) for index in (0, 1, 3)] == [7, 0, 1]


def test_a_file_without_a_column_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        del opened["energy"]
    with pytest.raises(UserError, match=r"the layout.*damaged"):
        config(file).build().read(0)


def test_a_file_that_shrank_is_noticed(file: Path) -> None:
    reader = config(file).build()
    write(file, [random_event(0, 3)])
    with pytest.raises(BadEventError, match="has changed"):
        reader.read(2)


def test_missing_attributes_are_refused(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        opened.attrs["classes"] = "not json"
    with pytest.raises(UserError, match="the attributes"):
        config(file).build()
    with h5py.File(file, "a") as opened:
        opened.attrs["classes"] = json.dumps(["a"])
        del opened.attrs["image_size"]
    with pytest.raises(UserError, match="the attributes"):
        config(file).build()


@settings(max_examples=100)
@given(damage=damages())
def test_damaged_copies_give_an_error_or_the_right_data(
    damage: Damage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    expected = [random_event(seed, n) for seed, n in enumerate(COUNTS)]
    bad = folder / "bad_voxels.h5"
    bad.write_bytes(damage.of(write(folder / "voxels.h5", expected).read_bytes()))
    for event in readable(config(bad)):
        assert same_content(event, expected[event.key.entry])


def test_many_files_are_read_with_few_open(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number:02}.h5", [random_event(number, 2)])
    reader = config(tmp_path / "*.h5").build()
    first = [reader.read(index) for index in range(40)]
    for index in reversed(range(40)):
        assert_same_event(reader.read(index), first[index])

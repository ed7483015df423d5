"""Files of the project's own format without compression: the same events, read past HDF5, and checked."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from damage import Damage, damages, readable, same_content
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import random_event
from reader_contract import ReaderContract, assert_same_event

from lartpc_sparse.data import voxel_column
from lartpc_sparse.data.event import Event, EventKey
from lartpc_sparse.data.readers import VoxelsConfig
from lartpc_sparse.data.readers.direct_rows import DirectRows, direct_rows
from lartpc_sparse.data.voxel_file import VoxelFileWriter
from lartpc_sparse.schema import BadEventError, UserError

COUNTS = (7, 0, 30, 1)


def write(path: Path, events: list[Event]) -> Path:
    layout = {"image_size": events[0].image_size, "classes": events[0].classes}
    with VoxelFileWriter(path, **layout, compression="none") as writer:
        for event in events:
            writer.write(event)
    return path


def config(path: Path) -> VoxelsConfig:
    return VoxelsConfig(files=(str(path),))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(voxel_column, "DIRECT_BYTES", 60)
    monkeypatch.setattr(voxel_column, "DIRECT_TABLE_BYTES", 20)
    return write(tmp_path / "events.h5", [random_event(seed, n) for seed, n in enumerate(COUNTS)])


class TestUncompressedReader(ReaderContract):
    def config(self, folder: Path, **options: Any) -> VoxelsConfig:
        for number in range(2):
            path = folder / f"{number}.h5"
            if not path.exists():
                write(path, [random_event(10 * number + i, n) for i, n in enumerate(COUNTS)])
        return VoxelsConfig(files=(str(folder / "*.h5"),), **options)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 1 << 20])
@given(
    seed=st.integers(0, 10**6), counts=st.lists(st.integers(0, 9), min_size=1, max_size=8), dim=st.sampled_from([2, 3])
)
def test_what_goes_in_comes_out(
    chunk_bytes: int, seed: int, counts: list[int], dim: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / "a.h5"
    events = [random_event(seed + i, n, image_size=(16, 16, 16)[:dim]) for i, n in enumerate(counts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voxel_column, "DIRECT_BYTES", chunk_bytes)
        patch.setattr(voxel_column, "DIRECT_TABLE_BYTES", chunk_bytes)
        write(path, events)
    reader = config(path).build()
    for entry, event in enumerate(events):
        assert_same_event(reader.read(entry), event.replace(key=EventKey(str(path), entry)))


def test_labels_may_begin_after_empty_events(tmp_path: Path) -> None:
    event = random_event(1, 5)
    none = event.select(np.zeros(5, dtype=bool))
    bare = none.replace(labels={}, particles={})
    reader = config(write(tmp_path / "a.h5", [bare, bare, event, bare])).build()
    assert [len(reader.read(index)) for index in range(4)] == [0, 0, 5, 0]
    assert same_content(reader.read(2), event)


@pytest.mark.parametrize("name", ["coords", "energy", "labels/semantic", "labels/instance"])
def test_a_value_that_is_possible_but_wrong_is_noticed(file: Path, name: str) -> None:
    with h5py.File(file, "a") as opened:
        row = COUNTS[0] + 3
        opened[name][row] = opened[name][row] + 1 if name != "labels/semantic" else (opened[name][row] == 0)
    reader = config(file).build()
    with pytest.raises(BadEventError, match=f"entry 2: cannot read {name.removeprefix('labels/')} .*checksum is wrong"):
        reader.read(2)
    assert len(reader.read(0)) == COUNTS[0]


def test_a_wrong_value_of_the_particle_table_is_noticed(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        name = sorted(opened["particles"])[0]
        row = opened["particle_offsets"][2]
        opened[f"particles/{name}"][row] = opened[f"particles/{name}"][row] + 1
    reader = config(file).build()
    with pytest.raises(BadEventError, match=f"entry 2: cannot read {name} .*checksum is wrong"):
        reader.read(2)
    assert len(reader.read(0)) == COUNTS[0]
    assert len(config(file).model_copy(update={"particles": False}).build().read(2)) == COUNTS[2]


def test_particle_tables_without_checksums_are_read(file: Path) -> None:
    """As the first files without compression have them."""
    expected = [config(file).build().read(entry) for entry in range(len(COUNTS))]
    with h5py.File(file, "a") as opened:
        del opened["checksums/particles"]
        for name, column in {name: column[:] for name, column in opened["particles"].items()}.items():
            del opened[f"particles/{name}"]
            opened.create_dataset(f"particles/{name}", data=column, compression="lzf")
    for entry, event in enumerate(expected):
        assert_same_event(config(file).build().read(entry), event)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("energy", np.nan, "energy of voxel 3"), ("coords", -1, "coords of voxel 3"), ("labels/semantic", 99, "semantic")],
)
def test_impossible_values_with_the_right_checksum_are_refused(
    file: Path, name: str, value: float, message: str
) -> None:
    """Every time: only an event that was found sound is not looked at again."""
    rows = slice(COUNTS[0], COUNTS[0] + COUNTS[2])
    with h5py.File(file, "a") as opened:
        opened[name][rows.start + 3] = value
        opened[f"checksums/{name}"][2] = zlib.crc32(opened[name][rows].tobytes())
    reader = config(file).build()
    for _ in range(2):
        with pytest.raises(BadEventError, match=f"entry 2: {message}"):
            reader.read(2)


def test_damage_after_the_first_read_is_noticed(file: Path) -> None:
    with h5py.File(file, "r") as opened:
        place = opened["energy"].id.get_chunk_info(0).byte_offset
    reader = config(file).build()
    for _ in range(2):
        reader.read(0)
    with file.open("r+b") as opened:
        opened.seek(place)
        opened.write(b"\xff\xff\xff\xff")
    with pytest.raises(BadEventError, match=r"entry 0: cannot read energy .*checksum is wrong"):
        reader.read(0)


@settings(max_examples=100)
@given(damage=damages())
def test_damaged_copies_give_an_error_or_the_right_data(
    damage: Damage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    expected = [random_event(seed, n) for seed, n in enumerate(COUNTS)]
    bad = folder / "bad_uncompressed.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voxel_column, "DIRECT_BYTES", 60)
        patch.setattr(voxel_column, "DIRECT_TABLE_BYTES", 20)
        bad.write_bytes(damage.of(write(folder / "uncompressed.h5", expected).read_bytes()))
    for event in readable(config(bad)):
        assert same_content(event, expected[event.key.entry])


def test_a_file_cut_short_while_it_is_open_is_noticed(file: Path) -> None:
    reader = config(file).build()
    reader.read(0)
    with file.open("r+b") as opened:
        opened.truncate(100)
    with pytest.raises(BadEventError, match="ends too early"):
        reader.read(2)


def test_checksums_of_another_number_of_events_are_refused(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        del opened["checksums/energy"]
        opened["checksums/energy"] = np.zeros(3, dtype=np.uint32)
    reader = config(file).build()
    with pytest.raises(UserError, match="checksums"):
        reader.read(0)


def test_repacked_with_compression_it_is_still_read_and_checked(file: Path) -> None:
    expected = config(file).build().read(2)
    with h5py.File(file, "a") as opened:
        energy = opened["energy"][:]
        del opened["energy"]
        opened.create_dataset("energy", data=energy, compression="gzip")
    assert_same_event(config(file).build().read(2), expected)


def test_rows_are_those_of_hdf5(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.int16).reshape(20, 3)
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made.create_dataset("chunked", data=values, chunks=(7, 3))
        made.create_dataset("split", data=values, chunks=(7, 2))
        made.create_dataset("zipped", data=values, chunks=(7, 3), compression="gzip")
        made.create_dataset("whole", data=values)
        made.create_dataset("unwritten", shape=(20, 3), dtype=np.int16, chunks=(7, 3))
    with h5py.File(tmp_path / "a.h5") as opened:
        for name in ("split", "zipped", "whole", "unwritten"):
            assert direct_rows(opened, opened[name]) is None
        rows = direct_rows(opened, opened["chunked"])
        assert isinstance(rows, DirectRows)
        for begin in range(21):
            for stop in range(begin, 21):
                np.testing.assert_array_equal(rows[begin:stop], values[begin:stop])
        for begin, stop in ((-1, 3), (3, 21), (5, 4)):
            with pytest.raises(OSError, match="of a column of 20"):
                rows[begin:stop]
